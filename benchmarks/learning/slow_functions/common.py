"""The values of one list that are in another."""


def common(left, right):
    found = []
    for value in left:
        if value in right:
            found.append(value)
    return found

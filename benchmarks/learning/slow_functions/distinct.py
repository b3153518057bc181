"""Keep the first of each value, in order."""


def distinct(items):
    result = []
    for item in items:
        if item not in result:
            result.append(item)
    return result

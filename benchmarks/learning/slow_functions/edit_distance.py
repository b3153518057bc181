"""How many letters have to be changed to make one word of another."""


def edit_distance(left, right):
    if not left:
        return len(right)
    if not right:
        return len(left)
    if left[0] == right[0]:
        return edit_distance(left[1:], right[1:])
    return 1 + min(
        edit_distance(left[1:], right),
        edit_distance(left, right[1:]),
        edit_distance(left[1:], right[1:]),
    )

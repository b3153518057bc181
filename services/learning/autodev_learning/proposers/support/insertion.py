"""Keeping a list sorted."""

from bisect import insort_right


def insert_in_order(items, item, in_order):
    """`items.append(item); items.sort()`, by bisection while all are numbers or text; tells whether they still are."""
    if in_order and (type(item) in (int, str) or (type(item) is float and item == item)):
        insort_right(items, item)
        return True
    items.append(item)
    items.sort()
    return False

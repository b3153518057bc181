"""The first and the last of a sorted list, without sorting it."""

SIMPLE_NUMBERS = frozenset({bool, float, int})


def has_order(items):
    """Whether sorting the items means what it seems to: all of them text, or numbers, none of them not a number."""
    types = set(map(type, items))
    return types == {str} or (types <= SIMPLE_NUMBERS and (float not in types or all(item == item for item in items)))


def first_sorted(items):
    """`sorted(items)[0]`"""
    listed = list(items)
    return min(listed) if listed and has_order(listed) else sorted(listed)[0]


def last_sorted(items):
    """`sorted(items)[-1]`: of equal ones the last"""
    listed = list(items)
    return max(reversed(listed)) if listed and has_order(listed) else sorted(listed)[-1]


def least_n(items, count, key=None):
    """`sorted(items, key=key)[:count]`"""
    import heapq

    listed = list(items)
    if type(count) is int and count >= 0 and has_order(listed if key is None else list(map(key, listed))):
        return heapq.nsmallest(count, listed, key=key)
    return sorted(listed, key=key)[:count]


def greatest_n(items, count, key=None):
    """`sorted(items, key=key, reverse=True)[:count]`"""
    import heapq

    listed = list(items)
    if type(count) is int and count >= 0 and has_order(listed if key is None else list(map(key, listed))):
        return heapq.nlargest(count, listed, key=key)
    return sorted(listed, key=key, reverse=True)[:count]

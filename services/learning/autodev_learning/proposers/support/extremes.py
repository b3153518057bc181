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
    """`sorted(items, key=key)[:count]`, with the key of each asked once, as there"""
    import heapq

    listed = list(items)
    keys = listed if key is None else list(map(key, listed))
    if type(count) is int and count >= 0 and has_order(keys):
        places = heapq.nsmallest(count, range(len(listed)), key=keys.__getitem__)
    else:
        places = sorted(range(len(listed)), key=keys.__getitem__)[:count]
    return [listed[place] for place in places]


def greatest_n(items, count, key=None):
    """`sorted(items, key=key, reverse=True)[:count]`, with the key of each asked once, as there"""
    import heapq

    listed = list(items)
    keys = listed if key is None else list(map(key, listed))
    if type(count) is int and count >= 0 and has_order(keys):
        places = heapq.nlargest(count, range(len(listed)), key=keys.__getitem__)
    else:
        places = sorted(range(len(listed)), key=keys.__getitem__, reverse=True)[:count]
    return [listed[place] for place in places]

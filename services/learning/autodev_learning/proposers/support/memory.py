"""What functions gave, remembered."""

PLAIN_TYPES = frozenset({bool, bytes, int, str, type(None)})
SIMPLE_TYPES = PLAIN_TYPES | {complex, float, range}
HOLDING_TYPES = frozenset({dict, frozenset, list, set, tuple})


class Forgetful(dict):  # type: ignore[type-arg]
    """Keeps nothing."""

    def __setitem__(self, key, value):
        pass


def memory_for(*passed_on):
    """Where a question's answers are kept: nowhere, where what is passed on to every call is, or holds, anything that
    could be used up, or says something else the second time."""
    seen = {}
    waiting = list(passed_on)
    while waiting:
        item = waiting.pop()
        if type(item) in HOLDING_TYPES:
            if id(item) not in seen:
                seen[id(item)] = item
                waiting += item
                waiting += item.values() if type(item) is dict else ()
        elif type(item) not in SIMPLE_TYPES:
            return Forgetful()
    return {}


def plain_key(*arguments):
    """The arguments and their types, as a key; None where equal ones could still differ."""
    types = tuple(map(type, arguments))
    return (types, arguments) if PLAIN_TYPES.issuperset(types) else None


def remember(known, key, value):
    """Keep what a call gave, unless somebody could change it."""
    if key is not None and (type(value) is float or type(value) in PLAIN_TYPES) and len(known) < 1_000_000:
        known[key] = value
    return value

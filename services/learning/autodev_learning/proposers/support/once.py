"""Values that are computed once."""


class Once:
    """A value that is computed when it is first asked for; again each time where it was made of something used up."""

    kept = frozenset({bool, bytes, complex, dict, float, frozenset, int, list, range, set, str, tuple, type(None)})

    def __init__(self):
        self.values = []

    def __call__(self, compute, *made_of):
        if self.values:
            return self.values[0]
        value = compute()
        if self.kept.issuperset(map(type, made_of)):
            self.values.append(value)
        return value

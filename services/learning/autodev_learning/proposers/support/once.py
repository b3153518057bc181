"""Values that are computed once."""


class Once:
    """A value that is computed when it is first asked for; again each time where turns could not share it.

    That is where it was made of something that is used up, or where what it holds could be changed: `[[0]] * n` is
    another list for each who asks, and holds another list.
    """

    plain = frozenset({bool, bytes, complex, float, int, range, str, type(None)})
    unchanging = plain | {frozenset, tuple}
    settled = unchanging | {dict, list, set}

    def __init__(self):
        self.values = []

    def __call__(self, compute, *made_of):
        if self.values:
            return self.values[0]
        value = compute()
        inside = self.within(value) if type(value) in self.settled else [value]
        if self.are_all(self.unchanging, inside) and self.are_all(self.settled, made_of):
            self.values.append(value)
        return value

    def are_all(self, kinds, items):
        """Whether they are, and hold, nothing but values of these kinds."""
        seen = {}
        waiting = list(items)
        while waiting:
            item = waiting.pop()
            if type(item) not in kinds:
                return False
            if type(item) not in self.plain and id(item) not in seen:
                seen[id(item)] = item
                waiting += self.within(item)
        return True

    def within(self, value):
        if type(value) is dict:
            return [*value, *value.values()]
        return () if type(value) in self.plain else value

"""How many are less."""

from bisect import bisect_left, bisect_right


class Ranks:
    """How many of a list's items are less than something: by bisection where the order is that of numbers or text."""

    def __init__(self, items):
        self.items = items
        self.ordered = None
        self.kinds = frozenset()
        if type(items) is list or type(items) is tuple:
            for kinds in (frozenset({bool, float, int}), frozenset({str})):
                if kinds.issuperset(map(type, items)) and all(item == item for item in items):
                    self.kinds = kinds
                    self.ordered = sorted(items)
                    break

    def less(self, limit):
        """`sum(1 for item in items if item < limit)`"""
        if type(limit) in self.kinds and limit == limit:
            return bisect_left(self.ordered, limit)
        return sum(1 for item in self.items if item < limit)

    def less_or_equal(self, limit):
        """`sum(1 for item in items if item <= limit)`"""
        if type(limit) in self.kinds and limit == limit:
            return bisect_right(self.ordered, limit)
        return sum(1 for item in self.items if item <= limit)

    def greater(self, limit):
        """`sum(1 for item in items if item > limit)`"""
        if type(limit) in self.kinds and limit == limit:
            return len(self.ordered) - bisect_right(self.ordered, limit)
        return sum(1 for item in self.items if item > limit)

    def greater_or_equal(self, limit):
        """`sum(1 for item in items if item >= limit)`"""
        if type(limit) in self.kinds and limit == limit:
            return len(self.ordered) - bisect_left(self.ordered, limit)
        return sum(1 for item in self.items if item >= limit)

"""A list of which the least is taken."""

from heapq import heapify, heappop, heappush


class LeastFirst:
    """A list whose least item is taken out again and again, of equal ones the first: a heap while there is an order.

    `items` holds it as the list would be, once something has come that has none.
    """

    def __init__(self, items):
        self.items = None
        self.heap = list(zip(items, range(len(items)), strict=True))
        self.count = len(items)
        self.kinds = frozenset({str}) if items and type(items[0]) is str else frozenset({bool, float, int})
        if not all(type(item) in self.kinds and item == item for item in items):
            self.items = list(items)
            return
        heapify(self.heap)

    def __len__(self):
        return len(self.heap) if self.items is None else len(self.items)

    def append(self, item):
        if self.items is None and not self.heap:
            self.kinds = frozenset({str}) if type(item) is str else frozenset({bool, float, int})
        if self.items is None and (type(item) not in self.kinds or item != item):
            self.items = [each for each, _ in sorted(self.heap, key=lambda pair: pair[1])]
        if self.items is not None:
            self.items.append(item)
        else:
            heappush(self.heap, (item, self.count))
            self.count += 1

    def take(self):
        """`least = min(items)`, `items.remove(least)`"""
        if self.items is None and self.heap:
            return heappop(self.heap)[0]
        items = self.items or []
        least = min(items)
        items.remove(least)
        return least

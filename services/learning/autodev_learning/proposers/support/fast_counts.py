"""Counts and first places by hash."""


class FastCounts:
    """How often something is in a list, and where first: counted once where everything in it has a hash."""

    def __init__(self, items):
        self.items = items
        self.counts = None
        self.places = None
        if type(items) is list or type(items) is tuple:
            self.count = self.fast_count
            self.index = self.fast_index

    def __getattr__(self, name):
        return getattr(self.items, name)

    def fast_count(self, item):
        try:
            if self.counts is None:
                counts = {}
                for each in self.items:
                    counts[each] = counts.get(each, 0) + 1
                self.counts = counts
            return self.counts.get(item, 0)
        except TypeError:
            if self.counts is None:
                self.count = self.items.count
            return self.items.count(item)

    def fast_index(self, item, *bounds):
        if bounds:
            return self.items.index(item, *bounds)
        try:
            if self.places is None:
                places = {}
                for place, each in enumerate(self.items):
                    places.setdefault(each, place)
                self.places = places
            if item in self.places:
                return self.places[item]
        except TypeError:
            if self.places is None:
                self.index = self.items.index
        return self.items.index(item)

"""Partners by key."""

from bisect import bisect_left


class Partners:
    """The items of a list that have a key, in order: from a table where every key can be in one, else all of them."""

    def __init__(self, items, key):
        self.items = items
        self.key = key
        self.tried = False
        self.table = None

    def having(self, own, start=0):
        """Those with the key that `own` gives, and perhaps others; only what comes at the place `start` or later."""
        if not self.tried:
            self.tried = True
            self.fill()
        if self.table and start >= 0:
            try:
                places, found = self.table.get(own(), ([], []))
            except TypeError:
                pass
            else:
                return found[bisect_left(places, start) :] if start else found
        return self.items[start:] if start else self.items

    def fill(self):
        if type(self.items) is not list and type(self.items) is not tuple and type(self.items) is not range:
            return
        table = {}
        try:
            for place, item in enumerate(self.items):
                places, found = table.setdefault(self.key(item), ([], []))
                places.append(place)
                found.append(item)
        except Exception:
            return
        self.table = table

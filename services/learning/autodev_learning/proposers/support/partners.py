"""Partners by key."""

from bisect import bisect_left


class Partners:
    """The items of a list that have a key, in order: from a table where every key can be in one, else all of them."""

    def __init__(self, give_items, key):
        self.give_items = give_items
        self.key = key
        self.items = None
        self.table = None

    def having(self, own, *starts):
        """Those with the key that `own` gives, and perhaps others; only what is in `items[start:]`, if there is one."""
        if self.items is None:
            self.fill(self.give_items())
        start = starts[0] if starts else 0
        if self.table and type(start) is int and 0 <= start < len(self.items):
            try:
                places, found = self.table.get(own(), ([], []))
            except TypeError:
                pass
            else:
                return found[bisect_left(places, start) :] if start else found
        return self.items[start:] if starts else self.items

    def fill(self, items):
        self.items = items
        if type(items) is not list and type(items) is not tuple and type(items) is not range:
            return
        table = {}
        try:
            for place, item in enumerate(items):
                places, found = table.setdefault(self.key(item), ([], []))
                places.append(place)
                found.append(item)
        except Exception:
            return
        self.table = table

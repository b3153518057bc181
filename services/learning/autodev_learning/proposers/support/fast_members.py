"""Members by hash."""


class FastMembers:
    """What is in a list: found by hash where everything in it has one, else by comparing with each."""

    def __init__(self, items):
        self.items = items
        self.hashed = None
        if type(items) is list or type(items) is tuple:
            try:
                self.hashed = set(items)
            except TypeError:
                pass

    def __contains__(self, item):
        if self.hashed is not None:
            try:
                return item in self.hashed
            except TypeError:
                pass
        return item in self.items

    def add(self, item):
        """Take note of an item that was appended to the list."""
        if self.hashed is not None:
            try:
                self.hashed.add(item)
            except TypeError:
                self.hashed = None

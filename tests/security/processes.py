"""The machine's process table."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """One line of it."""

    id: int
    parent: int
    name: str
    state: str


def process_table() -> dict[int, Process]:
    """Every process of the machine, those in namespaces too."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", errors="replace") as stat:
                text = stat.read()
        except OSError:
            continue  # It ended while we looked.
        _, _, rest = text.partition(" (")
        name, _, rest = rest.rpartition(") ")
        state, parent = rest.split(" ", 2)[:2]
        found[int(entry)] = Process(int(entry), int(parent), name, state)
    return found


def children_of(table: dict[int, Process]) -> dict[int, list[int]]:
    """The children of each process that has any."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.id)
    return children


def descendants(of: int, table: dict[int, Process]) -> set[int]:
    """The children, their children, and so on."""
    children = children_of(table)
    found: set[int] = set()
    waiting = [of]
    while waiting:
        more = children.get(waiting.pop(), [])
        found.update(more)
        waiting += more
    return found

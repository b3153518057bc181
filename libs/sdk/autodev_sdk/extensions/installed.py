"""Finds the extensions that installed distributions offer."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")


class Group(StrEnum):
    """The groups of entry points."""

    LEARNING_ENGINES = "autodev.learning_engines"
    FITNESS_FUNCTIONS = "autodev.fitness_functions"
    SANDBOXES = "autodev.sandboxes"
    CAPABILITY_GATES = "autodev.capability_gates"
    EVENT_HANDLERS = "autodev.event_handlers"


@dataclass(frozen=True, slots=True)
class Broken:
    """An extension that is installed and cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Installed(Generic[Kind]):
    """What a group offers, by the entry points' names, and what could not be loaded."""

    working: dict[str, Kind]
    broken: tuple[Broken, ...] = ()

    def fault_of(self, name: str) -> str:
        """Why the extension of that name does not work; empty where it does, or there is none."""
        return next((each.reason for each in self.broken if each.name == name), "")


def installed(group: Group, kind: type[Kind]) -> Installed[Kind]:
    """Load a group's extensions. One that is broken is logged and reported, and no other suffers.

    A class is made without arguments. Two of one name are both refused: which would hold is chance.
    """
    working: dict[str, Kind] = {}
    broken: dict[str, Broken] = {}
    for entry in sorted(entry_points(group=group), key=lambda each: each.name):
        name = entry.name
        if name in working or name in broken:
            working.pop(name, None)
            broken[name] = Broken(name, "two installed distributions offer this name")
            continue
        try:
            working[name] = _made(entry.load(), kind)
        except Exception as error:  # A user's module may raise anything when it is imported.
            broken[name] = Broken(name, f"{type(error).__name__}: {error}")
    for each in broken.values():
        log.error("the extension %r of %s cannot be used: %s", each.name, group.value, each.reason)
    if working:
        log.info("extensions of %s: %s", group.value, ", ".join(working))
    return Installed(working, tuple(broken.values()))


def _made(value: Any, kind: type[Kind]) -> Kind:
    made = value() if isinstance(value, type) else value
    if not isinstance(made, kind):
        raise TypeError(f"is a {type(made).__name__} and no {kind.__name__}")
    return made

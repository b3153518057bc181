"""Settings whose values are the names of an enum's members, whatever those are inside."""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

E = TypeVar("E", bound=Enum)


def named(kind: type[E]) -> Callable[[Any], Any]:
    """What makes a member of its name, in any case. Raises ValueError, with all names, for any other word."""

    def member(name: Any) -> Any:
        if not isinstance(name, str):
            return name
        found = kind.__members__.get(name.strip().upper())
        if found is None:
            raise ValueError(f"{name!r} is none of {', '.join(kind.__members__)}")
        return found

    return member

"""Dataclasses as the JSON that a column holds, and back."""

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

Shape = TypeVar("Shape")


class Json(Generic[Shape]):
    """One type's two directions."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[Shape] = TypeAdapter(kind)

    def dump(self, value: Shape) -> Any:
        """What the column holds."""
        return self._adapter.dump_python(value, mode="json")

    def load(self, stored: Any) -> Shape:
        """The value."""
        return self._adapter.validate_python(stored)

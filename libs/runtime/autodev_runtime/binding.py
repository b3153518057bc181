"""A context variable with a value for the time of a block."""

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Binding(Generic[Value]):
    """The block. Every call has some: `contextmanager` would cost each of them a generator and an object more."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: "ContextVar[Value | None]", value: Value) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        self._token: Token[Value | None] = self._variable.set(self._value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._variable.reset(self._token)

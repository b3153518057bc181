"""Walks the pages of a list."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sized
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

PAGE = 500
"""The most that any list gives at once."""
COUNTED = 100
"""Past so many, a count says no more than that there are."""


class Asking(Protocol):
    """A request for a page."""

    page_size: int
    page_token: str


class Page(Protocol):
    """An answer that may not be all."""

    next_page_token: str


A = TypeVar("A", bound=Asking)
P = TypeVar("P", bound=Page)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Count:
    """How many things there are; with `more`, at least so many."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number}{'+' if self.more else ''}"


async def pages(call: Callable[[A], Awaitable[P]], request: A, size: int = PAGE) -> AsyncIterator[P]:
    """Each page of what the request lists, asked for as it is wanted."""
    request.page_size = size
    while True:
        page = await call(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def whole(call: Callable[[A], Awaitable[P]], request: A, items: Callable[[P], Any], size: int = PAGE) -> P:
    """All that the request lists as one answer; `items` is the answer's field that holds them."""
    first, *rest = [page async for page in pages(call, request, size)]
    for page in rest:
        items(first).extend(items(page))
    first.next_page_token = ""
    return first


async def first_of(
    most: int, call: Callable[[A], Awaitable[P]], request: A, items: Callable[[P], Iterable[Item]]
) -> list[Item]:
    """The first of a list, as many as are wanted or there are."""
    found: list[Item] = []
    async for page in pages(call, request, min(most, PAGE)):
        found += items(page)
        if len(found) >= most:
            break
    return found[:most]


async def counted(call: Callable[[A], Awaitable[P]], request: A, items: Callable[[P], Sized]) -> Count:
    """How many the request lists, as far as one page tells."""
    request.page_size = COUNTED
    page = await call(request)
    return Count(len(items(page)), bool(page.next_page_token))

"""What is worked out of a text, remembered within a bound of memory: a bound of number says nothing of long texts."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

MIB = 2**20


class Remembered(Generic[Answer]):
    """A function whose answers are kept while their texts and they fit into so many bytes.

    What was asked for longest ago goes first. An answer that does not fit by itself is given, and not kept. It may be
    called in any thread; what raises is not kept.
    """

    def __init__(self, work: Callable[[str], Answer], most_bytes: int, bytes_of: Callable[[Answer], int]) -> None:
        update_wrapper(self, work)
        self.work = work
        self._most_bytes = most_bytes
        self.bytes_of = bytes_of
        self._kept: OrderedDict[str, tuple[Answer, int]] = OrderedDict()
        self.bytes = 0
        self._turn = threading.Lock()

    def __call__(self, text: str) -> Answer:
        with self._turn:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text][0]
        answer = self.work(text)
        size = sys.getsizeof(text) + self.bytes_of(answer)
        with self._turn:
            self._keep(text, answer, size)
        return answer

    def _keep(self, text: str, answer: Answer, size: int) -> None:
        if size > self._most_bytes or text in self._kept:
            return
        self._kept[text] = answer, size
        self.bytes += size
        while self.bytes > self._most_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self.bytes -= freed


def remembered(
    most_bytes: int, bytes_of: Callable[[Answer], int]
) -> Callable[[Callable[[str], Answer]], Remembered[Answer]]:
    """Have a function remember its answers. `bytes_of` estimates what one takes."""
    return lambda work: Remembered(work, most_bytes, bytes_of)

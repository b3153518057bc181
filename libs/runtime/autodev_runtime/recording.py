"""Keeps a record of decisions: before a deciding RPC is served its entry is on disk, and afterwards how it ended."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from autodev_runtime.access import access_to
from autodev_runtime.identity import Identity
from autodev_runtime.parsing import parser


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody is about to have done."""

    rpc: str
    by: Identity
    request: Message
    content: bytes
    """The request as it came."""


class Recorder(ABC):
    """Where the record is kept."""

    @abstractmethod
    async def begin(self, decision: Decision) -> int:
        """Write a decision down. Returns its number. An error means that it must not be done."""

    @abstractmethod
    async def end(self, decision: Decision, number: int, status: str, answer: Message | None) -> None:
        """Write down how it ended, if that can be done now. Raises nothing."""


class Recording:
    """The record of one RPC that decides, or may."""

    def __init__(self, recorder: Recorder, method: MethodDescriptor) -> None:
        self._recorder = recorder
        self._access = access_to(method)
        self._rpc = str(method.full_name)
        self._parse = parser(message_factory.GetMessageClass(method.input_type).FromString)
        self._answer = message_factory.GetMessageClass(method.output_type)
        self._ending: set[asyncio.Future[None]] = set()

    async def around(
        self, identity: Identity, content: bytes, work: Callable[[], Awaitable[Any]], name: Callable[[Exception], str]
    ) -> Any:
        """Do the work, between its two entries where it is a decision. `name` names an error's status.

        What breaks a field's rule is refused here, whoever serves the RPC: entries hold what is within bounds.
        """
        request = self._parse(content)
        self._access.check_request(identity, request)
        if not self._access.decides(request):
            return await work()
        decision = Decision(self._rpc, identity, request, content)
        number = await self._recorder.begin(decision)
        status, answer = "CANCELLED", None
        try:
            answer = await work()
            status = "OK"
            return answer
        except Exception as error:
            status = name(error)
            raise
        finally:
            await self._end(decision, number, status, answer)

    async def _end(self, decision: Decision, number: int, status: str, answer: Any) -> None:
        message = self._answer.FromString(answer) if isinstance(answer, bytes) else answer
        ending = asyncio.ensure_future(self._recorder.end(decision, number, status, message))
        # Also when the caller has gone: what was done is told to the end.
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

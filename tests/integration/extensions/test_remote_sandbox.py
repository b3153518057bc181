"""A sandbox that is a gRPC service and fails: what ran there runs nowhere else, and nobody else suffers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Value

from autodev.extension.v1 import sandbox_backend_service_pb2 as pb
from autodev.extension.v1.sandbox_backend_service_pb2_grpc import (
    SandboxBackendServiceServicer,
    add_SandboxBackendServiceServicer_to_server,
)
from autodev_runtime.errors import FailedPrecondition
from autodev_runtime.extensions.remote import extensions_of
from autodev_sandbox.__main__ import custom_sandboxes, dispatcher_for
from autodev_sandbox.dispatcher import Dispatcher, Sharing
from autodev_sandbox.execution import CallOutcome, Calls, Execution, IsolationLevel, Status
from autodev_sandbox.settings import SandboxSettings
from tests.mesh import free_ports

CONTAINER, PROCESS = IsolationLevel.CONTAINER, IsolationLevel.PROCESS
SECRET = "TOKEN = 'of alice alone'"
FAILURES = 3
MESSAGE_BYTES = 64 * 1024
SEATS = 2


class Box(SandboxBackendServiceServicer):
    """Runs nothing, and ends as the code says: by a status, by going away, or with an answer of so many bytes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ran: list[str] = []
        self.held = self.most_held = 0
        self.full = asyncio.Event()
        self.server = grpc.aio.server()
        add_SandboxBackendServiceServicer_to_server(self, self.server)
        self.server.add_insecure_port(f"127.0.0.1:{port}")
        self._stopping: asyncio.Task[None] | None = None

    def stop(self) -> "asyncio.Task[None]":
        """Go away now, whatever is under way."""
        self._stopping = self._stopping or asyncio.create_task(self.server.stop(0))
        return self._stopping

    async def ExecuteRawPython(self, request: pb.ExecuteRawPythonRequest, context: Any) -> pb.ExecuteRawPythonResponse:
        answer = pb.ExecuteRawPythonResponse(status=pb.RAW_STATUS_OK)
        if request.entry_point == "probe":
            answer.result.list_value.values.extend([Value(string_value="ready"), Value(number_value=1)])
            return answer
        self.ran.append(request.code)
        how, _, of = request.code.removeprefix("# ").partition(" ")
        if how == "status":
            await context.abort(grpc.StatusCode[of.split()[0]], f"cannot run {request.code!r}")
        elif how == "go":
            self.stop()
            await asyncio.Event().wait()
        elif how == "hold":
            self.held += 1
            self.most_held = max(self.most_held, self.held)
            if self.held == SEATS:
                self.full.set()
            await self.full.wait()
            self.held -= 1
        elif how == "print":
            answer.stdout = b"x" * int(of)
        elif how == "twice" and len(self.ran) == 2:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no more")
        return answer


@contextlib.asynccontextmanager
async def dispatching(**stated: Any) -> AsyncIterator[tuple[Box, Dispatcher]]:
    """The extension serves CONTAINER; beside it there is PROCESS."""
    (port,) = free_ports(1)
    box = Box(port)
    await box.server.start()
    settings = SandboxSettings(
        levels=frozenset({CONTAINER, PROCESS}),
        allow_process=True,
        extensions={"acme.box": f"127.0.0.1:{port}"},
        extension_levels={"acme.box": CONTAINER},
        extension_failures=FAILURES,
        extension_max_message_bytes=MESSAGE_BYTES,
        **stated,
    )
    try:
        async with extensions_of(settings) as extensions:
            dispatcher = dispatcher_for(settings, custom_sandboxes(settings, extensions))
            await dispatcher.levels.probe()
            yield box, dispatcher
            await dispatcher.close()
    finally:
        await box.stop()


@pytest.mark.parametrize("code", ["status UNAVAILABLE", "status RESOURCE_EXHAUSTED", "status INTERNAL", "go away"])
async def test_what_may_have_run_is_killed_and_runs_nowhere_else(code: str) -> None:
    async with dispatching() as (box, dispatcher):
        outcome = await dispatcher.execute(Execution(code), "alice")
        assert (outcome.status, outcome.level, box.ran) == (Status.KILLED, CONTAINER, [code])
        assert dispatcher.levels.best(CONTAINER) is CONTAINER


async def test_what_it_refuses_before_it_begins_runs_elsewhere() -> None:
    async with dispatching() as (box, dispatcher):
        outcome = await dispatcher.execute(Execution("# status FAILED_PRECONDITION"), "alice")
        assert (outcome.status, outcome.level, len(box.ran)) == (Status.OK, PROCESS, 1)
        assert dispatcher.levels.best(CONTAINER) is None
        await dispatcher.levels.probe()
        assert dispatcher.levels.best(CONTAINER) is CONTAINER


async def test_what_never_reached_it_runs_elsewhere() -> None:
    async with dispatching() as (box, dispatcher):
        await box.stop()
        outcomes = [await dispatcher.execute(Execution("pass"), "alice") for _ in range(2)]
        # The connection's end may be heard of only with the first.
        assert (outcomes[-1].status, outcomes[-1].level, box.ran) == (Status.OK, PROCESS, [])


async def test_more_executions_than_it_may_have_wait_for_it() -> None:
    async with dispatching(slots=3 * SEATS, extension_max_in_flight=SEATS) as (box, dispatcher):
        running = [dispatcher.execute(Execution("hold"), "alice") for _ in range(3 * SEATS)]
        outcomes = await asyncio.gather(*running)
        assert [(each.status, each.level) for each in outcomes] == [(Status.OK, CONTAINER)] * len(outcomes)
        assert (len(box.ran), box.most_held) == (len(outcomes), SEATS)
        assert dispatcher.levels.best(CONTAINER) is CONTAINER


async def test_an_answer_that_is_too_large_is_its_own_executions_fault() -> None:
    async with dispatching() as (box, dispatcher):
        for _ in range(2 * FAILURES):
            outcome = await dispatcher.execute(Execution(f"print {MESSAGE_BYTES}"), "alice")
            assert (outcome.status, outcome.level) == (Status.OUTPUT_LIMIT, CONTAINER)
        assert len(box.ran) == 2 * FAILURES
        assert (await dispatcher.execute(Execution("pass", minimum=CONTAINER), "bob")).status is Status.OK


async def test_an_execution_that_is_too_large_for_a_message_is_its_own_fault() -> None:
    async with dispatching() as (box, dispatcher):
        for _ in range(2 * FAILURES):
            outcome = await dispatcher.execute(Execution("#" * MESSAGE_BYTES), "alice")
            assert (outcome.status, outcome.level, box.ran) == (Status.KILLED, CONTAINER, [])
            assert "larger than max" in outcome.stderr
        assert (await dispatcher.execute(Execution("pass", minimum=CONTAINER), "bob")).status is Status.OK


class Results(list[CallOutcome]):
    """What a batch gives."""

    async def give(self, call: CallOutcome) -> None:
        self.append(call)

    async def room(self) -> None:
        """There always is."""


async def test_an_input_that_was_called_once_is_not_begun_anew() -> None:
    async with dispatching() as (box, dispatcher):
        results = Results()
        calls = Calls("twice", "f", [{}, {}], repeat=2)
        await dispatcher.batch(calls, "alice", Sharing.INTERPRETER, results)
        assert [(each.index, each.outcome.status) for each in results] == [(0, Status.KILLED), (1, Status.OK)]
        assert {each.outcome.level for each in results} == {CONTAINER}
        assert len(box.ran) == 4


async def test_what_ran_there_is_told_to_no_log_and_to_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with dispatching() as (box, dispatcher):
        for _ in range(FAILURES):
            outcome = await dispatcher.execute(Execution(f"status INTERNAL\n{SECRET}"), "alice")
            assert outcome.status is Status.KILLED
        await box.stop()
        await dispatcher.execute(Execution("pass"), "bob")
        with pytest.raises(FailedPrecondition) as refused:
            await dispatcher.execute(Execution("pass", minimum=CONTAINER), "bob")
        statuses = {status.level: status for status in dispatcher.levels.statuses()}
    told = [refused.value.metadata["CONTAINER"], statuses[CONTAINER].detail, str(statuses[CONTAINER].facilities)]
    assert all(f"{FAILURES} failures in a row, the last one: EXTENSION_FAILED INTERNAL" in each for each in told)
    assert "acme.box" in caplog.text
    assert SECRET not in "".join((caplog.text, *told))

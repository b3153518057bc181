"""What learning asks of the sandbox service: many inputs by one call, each in a sandbox of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_learning.evolution.screening import single
from autodev_learning.peers.sandbox import Sandbox
from autodev_runtime.errors import InvalidArgument, ResourceExhausted
from autodev_runtime.identity import acting_as, service_identity
from autodev_sandbox.execution import MIB, IsolationLevel
from autodev_sandbox.settings import SandboxSettings
from tests.integration.sandbox.conftest import eventually, ready
from tests.integration.sandbox.service import Service, serving, within

if TYPE_CHECKING:
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

COUNTS = "seen = []\ndef f(n):\n    seen.append(n)\n    return [n, len(seen)]\n"


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    await (await ready("namespace")).close()
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE}), slots=1, max_waiting=1)
    async with serving(settings, tmp_path) as service:
        with acting_as(service_identity("learning", "tenant")):
            yield service


@pytest.fixture
def sandbox(service: Service) -> Sandbox:
    return Sandbox(service.stub)


async def test_each_input_has_a_sandbox_of_its_own(sandbox: Sandbox) -> None:
    executions = await sandbox.execute_each(COUNTS, "f", [{"n": n} for n in range(40)], 5.0)
    assert [each.result for each in executions] == [[n, 1] for n in range(40)]
    assert all(each.ok for each in executions)


async def test_one_that_fails_says_why_and_harms_no_other(sandbox: Sandbox) -> None:
    code = "import os\ndef f(what):\n    while what == 'loop': pass\n    return what if what else os._exit(3)\n"
    loop, ends, fine = await sandbox.execute_each(code, "f", [{"what": "loop"}, {"what": ""}, {"what": "x"}], 0.3)
    assert ((loop.ok, loop.detail), ends.ok) == ((False, "TIMEOUT"), False)
    assert (fine.ok, fine.result) == (True, "x")


async def test_a_full_queue_is_waited_for(service: Service, sandbox: Sandbox) -> None:
    busy = pb.ExecuteRequest(code="import time; time.sleep(0.5)", limits=within(5))
    others = [asyncio.ensure_future(service.stub.Execute(busy)) for _ in range(2)]
    await eventually(lambda: service.waiting == 1, "the queue is full")
    assert [each.result for each in await sandbox.execute_each(COUNTS, "f", [{"n": 7}], 5.0)] == [[7, 1]]
    await asyncio.gather(*others)


class Counted:
    """The stub, and how often it was asked to execute."""

    def __init__(self, stub: "SandboxServiceAsyncStub") -> None:
        self._stub = stub
        self.calls = 0

    def Execute(self, *asked: Any, **options: Any) -> Any:
        self.calls += 1
        return self._stub.Execute(*asked, **options)


async def test_a_message_that_is_too_large_is_sent_once(service: Service) -> None:
    counted = Counted(service.stub)
    with pytest.raises(ResourceExhausted, match="larger than max"):
        await Sandbox(cast("SandboxServiceAsyncStub", counted)).run("#" * 9 * MIB, "f", {}, 5.0)
    assert counted.calls == 1


async def test_who_goes_away_leaves_nothing_running(service: Service, sandbox: Sandbox) -> None:
    call = asyncio.ensure_future(sandbox.execute_each("def f():\n    while True: pass\n", "f", [{}] * 9, 30.0))
    await eventually(lambda: service.running == 1, "the first of them runs")
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await eventually(lambda: service.running == service.waiting == 0, "all of them have ended")


async def test_what_cannot_be_had_is_said_in_the_taxonomys_words(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgument, match=r"limits\.timeout"):
        await sandbox.execute_each(COUNTS, "f", [{"n": 1}], 100_000.0)


async def test_programs_alone_give_what_each_computes(sandbox: Sandbox) -> None:
    programs = [f"def f(x):\n    return x + {n}\n" for n in range(7)] + ["import os\nos._exit(0)\n"]
    rows = await single(sandbox.execute_each, 0.4, lanes=2).run(programs, "", ["f(1)", "f('a')"])
    assert [row[0].value for row in rows[:-1]] == [str(1 + n) for n in range(7)]
    assert all((row[1].error or "").startswith("TypeError") for row in rows[:-1])
    assert (rows[-1][0].error or "").startswith("Sandbox: ")


async def test_what_every_program_comes_with_makes_no_call_too_large(sandbox: Sandbox) -> None:
    preamble = f"TEXT = {'x' * 400_000!r}\n"
    programs = [f"def f():\n    return len(TEXT) + {n}\n" for n in range(30)]
    rows = await single(sandbox.execute_each, 0.4, lanes=1).run(programs, preamble, ["f()"])
    assert [row[0].value for row in rows] == [str(400_000 + n) for n in range(30)]

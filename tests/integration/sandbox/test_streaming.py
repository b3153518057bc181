"""ExecuteStream and ExecuteBatch: results as they come, calls that end early, and Cancel."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.settings import SandboxSettings
from tests.integration.sandbox.conftest import eventually, ready
from tests.integration.sandbox.service import Service, serving, struct, within
from tests.serving import refusal

OK, ERROR, TIMEOUT, KILLED = (
    pb.EXECUTION_STATUS_OK,
    pb.EXECUTION_STATUS_ERROR,
    pb.EXECUTION_STATUS_TIMEOUT,
    pb.EXECUTION_STATUS_KILLED,
)
NOTHING, INTERPRETER = pb.BATCH_SHARING_NOTHING, pb.BATCH_SHARING_INTERPRETER
FOREVER = "print('begun', flush=True)\nwhile True: pass"


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    await (await ready("namespace")).close()
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE}), slots=2, max_batch_s=30.0)
    async with serving(settings, tmp_path) as service:
        yield service


def streamed(service: Service, code: str, **asked: Any) -> Any:
    return service.stub.ExecuteStream(pb.ExecuteStreamRequest(execution=pb.ExecuteRequest(code=code, **asked)))


def batched(service: Service, code: str, inputs: Sequence[dict[str, object]], **asked: Any) -> Any:
    structs = [struct(**each) for each in inputs]
    return service.stub.ExecuteBatch(pb.ExecuteBatchRequest(code=code, entry_point="f", inputs=structs, **asked))


async def results_of(call: Any) -> list[pb.InputResult]:
    return [result async for response in call for result in response.results]


async def rest_of(call: Any) -> list[Any]:
    """What a call still sends, of which some was read."""
    messages = []
    while (message := await call.read()) is not grpc.aio.EOF:
        messages.append(message)
    return messages


def idle(service: Service) -> bool:
    pools = [status.pool for status in service.dispatcher.levels.statuses()]
    return service.running == service.waiting == 0 and not any(pool.in_use or pool.ending for pool in pools)


async def test_what_is_printed_comes_before_the_end(service: Service) -> None:
    call = streamed(service, "import sys\nprint('out', flush=True)\ninput_ended = sys.stdin.read()\n" + FOREVER)
    started = await call.read()
    assert started.started.execution_id
    first = await call.read()
    assert first.stdout.startswith(b"out\n")
    await service.stub.Cancel(pb.CancelRequest(execution_id=started.started.execution_id))
    rest = await rest_of(call)
    assert rest[-1].finished.status == KILLED


async def test_a_stream_ends_with_how_it_ended(service: Service) -> None:
    code = "import sys\ndef f():\n  print('out'); print('err', file=sys.stderr); open('x', 'w').write('y'); return [1]"
    messages = [each async for each in streamed(service, code, entry_point="f", output_files=["x"])]
    assert [each.WhichOneof("event") for each in messages[:1]] == ["started"]
    finished = messages[-1].finished
    assert (finished.status, finished.stdout, finished.stderr) == (OK, "", "")
    assert finished.output_files == [pb.File(path="x", content=b"y")]
    assert b"".join(each.stdout for each in messages) == b"out\n"
    assert b"".join(each.stderr for each in messages) == b"err\n"


async def test_a_stream_is_cut_at_the_output_limit(service: Service) -> None:
    limits = pb.ExecutionLimits(output_bytes=100_000)
    messages = [each async for each in streamed(service, "while True: print('x' * 99)", limits=limits)]
    assert messages[-1].finished.status == pb.EXECUTION_STATUS_OUTPUT_LIMIT
    assert sum(len(each.stdout) for each in messages) == 100_000


async def test_many_small_pieces_are_sent_together(service: Service) -> None:
    code = "import os\nfor _ in range(20_000): os.write(1, b'x')"
    messages = [each async for each in streamed(service, code)]
    assert sum(len(each.stdout) for each in messages) == 20_000
    assert len(messages) < 10_000


@pytest.mark.parametrize("at", ["the first message", "a message that is not read"])
async def test_a_client_that_goes_away_ends_its_code(service: Service, at: str) -> None:
    # Less than an execution may print, and more than gRPC takes of what nobody reads.
    code = FOREVER if at == "the first message" else FOREVER.replace("begun", "x" * 900_000)
    call = streamed(service, code, limits=within(60))
    await call.read()
    await eventually(lambda: service.running == 1, "it runs")
    call.cancel()
    await eventually(lambda: idle(service), "its sandbox is gone")


@pytest.mark.parametrize(
    ("execution", "field"),
    [
        (pb.ExecuteRequest(), "execution.code"),
        (pb.ExecuteRequest(code="1", limits=pb.ExecutionLimits(processes=1000)), "execution.limits.processes"),
        (pb.ExecuteRequest(code="1", input_files=[pb.File(path="..")]), "execution.input_files[0].path"),
    ],
)
async def test_a_wrong_stream_names_the_field_from_the_top(
    service: Service, execution: pb.ExecuteRequest, field: str
) -> None:
    call = service.stub.ExecuteStream(pb.ExecuteStreamRequest(execution=execution))
    refused = await refusal(call.read())
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [field])


async def test_a_stream_that_cannot_be_had_is_refused_before_it_starts(service: Service) -> None:
    refused = await refusal(streamed(service, "1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER_GVISOR).read())
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ISOLATION_UNAVAILABLE")


@pytest.mark.parametrize(("sharing", "counts"), [(NOTHING, [1, 1, 1]), (INTERPRETER, [1, 2, 3])])
async def test_inputs_share_an_interpreter_only_if_asked(
    service: Service, sharing: "pb.BatchSharing.ValueType", counts: list[int]
) -> None:
    code = "seen = []\ndef f(n): seen.append(n); print(n); return len(seen)"
    results = await results_of(batched(service, code, [{"n": n} for n in range(3)], sharing=sharing))
    assert [each.index for each in results] == [0, 1, 2]
    assert [each.outcome.result.number_value for each in results] == counts
    assert [each.outcome.stdout for each in results] == ["0\n", "1\n", "2\n"]
    assert {each.outcome.isolation for each in results} == {pb.ISOLATION_LEVEL_NAMESPACE}


@pytest.mark.parametrize("sharing", [NOTHING, INTERPRETER])
async def test_calls_are_timed_after_the_warm_up(service: Service, sharing: "pb.BatchSharing.ValueType") -> None:
    code = "import time\ndef f(s): time.sleep(s); return time.perf_counter()"
    results = await results_of(batched(service, code, [{"s": 0.01}, {"s": 0.3}], sharing=sharing, warmup=2, repeat=3))
    assert [len(each.call_seconds) for each in results] == [3, 3]
    assert 0.01 <= min(results[0].call_seconds) < 0.3 <= min(results[1].call_seconds)
    assert all(each.varied for each in results)


@pytest.mark.parametrize("sharing", [NOTHING, INTERPRETER])
async def test_an_input_that_ends_its_interpreter_fails_by_itself(
    service: Service, sharing: "pb.BatchSharing.ValueType"
) -> None:
    code = (
        "import ctypes, os\ndef f(what):\n  if what == 'crash': ctypes.string_at(0)\n  if what == 'exit': os._exit(3)\n"
        "  if what == 'raise': 1 / 0\n  while what == 'loop': pass\n  return what"
    )
    whats = ["a", "crash", "b", "loop", "exit", "raise", "c"]
    results = await results_of(
        batched(service, code, [{"what": what} for what in whats], sharing=sharing, limits=within(0.3))
    )
    assert [each.outcome.status for each in results] == [OK, KILLED, OK, TIMEOUT, ERROR, ERROR, OK]
    assert [each.index for each in results] == list(range(7))
    await eventually(lambda: idle(service), "every sandbox is gone")


async def test_code_that_cannot_be_loaded_answers_for_every_input(service: Service) -> None:
    results = await results_of(batched(service, "1 / 0", [{}] * 3, sharing=INTERPRETER))
    assert [each.outcome.error.type for each in results] == ["ZeroDivisionError"] * 3


async def test_the_first_results_come_before_the_last_input_has_run(service: Service) -> None:
    code = "import time\ndef f(s): time.sleep(s); return s"
    call = batched(service, code, [{"s": 0}, {"s": 0}, {"s": 20}], sharing=INTERPRETER, limits=within(30))
    results: list[pb.InputResult] = []
    async with asyncio.timeout(10):
        while len(results) < 2:
            results += (await call.read()).results
    assert [each.index for each in results] == [0, 1]
    call.cancel()
    await eventually(lambda: idle(service), "its sandbox is gone")


async def test_many_results_come_in_few_messages(service: Service) -> None:
    call = batched(service, "def f(n): return n", [{"n": n} for n in range(2000)], sharing=INTERPRETER)
    messages = [response async for response in call]
    assert [each.outcome.result.number_value for message in messages for each in message.results] == list(range(2000))
    assert len(messages) < 1000


async def test_a_batch_beyond_the_operators_limit_ends_after_its_results(tmp_path: Path, service: Service) -> None:
    del service
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE}), max_batch_s=1.0)
    async with serving(settings, tmp_path) as short:
        code = "import time\ndef f(s): time.sleep(s)"
        call = batched(short, code, [{"s": 0}, {"s": 20}], sharing=INTERPRETER, limits=within(30))
        results = (await call.read()).results
        ended = await refusal(call.read())
        assert [each.index for each in results] == [0]
        assert ended.code == "DEADLINE_EXCEEDED"
        assert "1 s" in ended.message
        await eventually(lambda: idle(short), "its sandbox is gone")


async def test_a_batch_of_more_inputs_than_allowed_is_refused(tmp_path: Path, service: Service) -> None:
    del service
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE}), max_batch_inputs=2)
    async with serving(settings, tmp_path) as small:
        refused = await refusal(batched(small, "1", [{}] * 3).read())
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["inputs"])


async def test_a_cancelled_execution_is_killed_with_what_it_printed(service: Service) -> None:
    request = pb.ExecuteRequest(code=FOREVER, execution_id="mine", limits=within(30))
    call = asyncio.ensure_future(service.stub.Execute(request))
    cancel = pb.CancelRequest(execution_id="mine")
    await eventually(lambda: service.running == 1, "it runs")
    stranger = await refusal(service.acting_as("other").Cancel(cancel))
    assert (stranger.code, stranger.metadata["kind"]) == ("NOT_FOUND", "execution")
    twice = await refusal(service.stub.Execute(request))
    assert twice.code == "ALREADY_EXISTS"
    # Another tenant's may have the same name.
    theirs = pb.ExecuteRequest(code="print('theirs')", execution_id="mine")
    assert (await service.acting_as("other").Execute(theirs)).stdout == "theirs\n"
    await service.stub.Cancel(cancel)
    response = await call
    assert response.status == KILLED
    assert response.stdout in ("begun\n", "")
    assert (await refusal(service.stub.Cancel(cancel))).code == "NOT_FOUND"
    await eventually(lambda: idle(service), "its sandbox is gone")


async def test_a_cancelled_batch_kills_what_is_left(service: Service) -> None:
    code = "import time\ndef f(s): time.sleep(s)"
    call = batched(
        service, code, [{"s": 0}, {"s": 20}, {"s": 0}], sharing=INTERPRETER, limits=within(30), execution_id="mine"
    )
    first = await call.read()
    assert [each.index for each in first.results] == [0]
    await service.stub.Cancel(pb.CancelRequest(execution_id="mine"))
    rest = [result for response in await rest_of(call) for result in response.results]
    assert [(each.index, each.outcome.status) for each in rest] == [(1, KILLED), (2, KILLED)]
    await eventually(lambda: idle(service), "its sandbox is gone")


async def test_descriptors_do_not_grow_with_calls_that_end_early(service: Service) -> None:
    async def begun_and_left(times: int) -> int:
        for _ in range(times):
            call = streamed(service, FOREVER)
            await call.read()
            call.cancel()
        await eventually(lambda: idle(service), "their sandboxes are gone")
        return len(os.listdir("/proc/self/fd"))

    # The pool may have some nests more or fewer, each with a handful: over many calls that is little.
    before = await begun_and_left(10)
    assert await begun_and_left(40) <= before + 16

"""The sample sandboxes behind the sandbox service, in Python and in Go: every status, and no level undercut."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_runtime.structs import value_from
from tests.conftest import require
from tests.integration.extensions.conftest import Samples
from tests.integration.sandbox.service import struct
from tests.mesh import Mesh, eventually
from tests.serving import acting, refusal

if TYPE_CHECKING:
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = {"python": "example.bwrap", "go": "go.bwrap"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=NAMES)
async def sandbox(
    request: pytest.FixtureRequest, samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator["SandboxServiceAsyncStub"]:
    """The service, whose level NAMESPACE is an extension's, and which offers no other."""
    require(shutil.which("bwrap"), "bubblewrap is not installed")
    settings = {
        **samples.environment,
        "AUTODEV_SANDBOX_LEVELS": "namespace",
        "AUTODEV_SANDBOX_EXTENSION_LEVELS": f"{NAMES[request.param]}=namespace",
    }
    if request.param == "go":
        settings["AUTODEV_SANDBOX_EXTENSIONS"] = f"go.bwrap={samples.address}"
    async with (
        Mesh(tmp_path_factory.mktemp("mesh"), ["sandbox"], settings) as mesh,
        mesh.channel("sandbox") as channel,
    ):
        yield SandboxServiceStub(acting(channel, "acme"))


async def execute(sandbox: "SandboxServiceAsyncStub", code: str, **fields: object) -> pb.ExecuteResponse:
    request = pb.ExecuteRequest(code=code, entry_point="run", **fields)  # type: ignore[arg-type]
    if not request.limits.HasField("timeout"):
        request.limits.timeout.FromSeconds(20)
    return await sandbox.Execute(request)


async def test_it_runs_code_and_says_who_did(sandbox: "SandboxServiceAsyncStub") -> None:
    code = "import sys\ndef run(a, b):\n    print('out'); print('err', file=sys.stderr)\n    return {'sum': a + b}\n"
    answer = await execute(sandbox, code, inputs=struct(a=2, b=3))
    assert (answer.status, value_from(answer.result)) == (pb.EXECUTION_STATUS_OK, {"sum": 5})
    assert (answer.stdout, answer.stderr, answer.isolation) == ("out\n", "err\n", pb.ISOLATION_LEVEL_NAMESPACE)
    status = await sandbox.GetSandboxStatus(pb.GetSandboxStatusRequest())
    (namespace,) = [each for each in status.levels if each.available]
    assert "bwrap" in namespace.detail


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("def run():\n    return 1 / 0\n", pb.EXECUTION_STATUS_ERROR),
        ("def run(:\n", pb.EXECUTION_STATUS_ERROR),
        ("def run():\n    return {1, 2}\n", pb.EXECUTION_STATUS_ERROR),
        ("def run():\n    return float('nan')\n", pb.EXECUTION_STATUS_ERROR),
        ("import os\ndef run():\n    os._exit(3)\n", pb.EXECUTION_STATUS_ERROR),
        ("def run():\n    return len(bytes(2**32))\n", pb.EXECUTION_STATUS_OOM),
        ("def run():\n    print('x' * 2_000_000)\n", pb.EXECUTION_STATUS_OUTPUT_LIMIT),
    ],
)
async def test_how_code_ends(sandbox: "SandboxServiceAsyncStub", code: str, status: int) -> None:
    assert (await execute(sandbox, code)).status == status


@pytest.mark.parametrize(
    "forged",
    [
        '{"value": NaN, "files": {}}',
        '{"value": 1, "files": {"a": 5}}',
        '{"error": [1], "files": {}}',
        '{"value": 1, "files": [1]}',
        "[" * 100_000,
        '{"value": ' + 17 * "[" + 17 * "]" + "}",
        '{"value": ' + 900 * "[" + 900 * "]" + "}",
        '{"value": ' + 900 * '{"a": ' + "1" + 901 * "}",
    ],
)
async def test_a_forged_answer_is_the_codes_error_and_nobody_elses(
    sandbox: "SandboxServiceAsyncStub", forged: str
) -> None:
    code = f"import os, sys\ndef run():\n    os.write(int(sys.argv[1]), {forged!r}.encode())\n    os._exit(0)\n"
    assert (await execute(sandbox, code)).status == pb.EXECUTION_STATUS_ERROR
    assert (await execute(sandbox, "def run(): return 1")).status == pb.EXECUTION_STATUS_OK


async def test_code_that_does_not_end_is_ended(sandbox: "SandboxServiceAsyncStub") -> None:
    limits = pb.ExecutionLimits()
    limits.timeout.FromMilliseconds(500)
    assert (
        await execute(sandbox, "def run():\n    while True: pass\n", limits=limits)
    ).status == pb.EXECUTION_STATUS_TIMEOUT


async def test_code_reaches_neither_network_nor_the_machines_files(sandbox: "SandboxServiceAsyncStub") -> None:
    code = (
        "import os, socket\ndef run():\n    try:\n        socket.create_connection(('127.0.0.1', 1), 1)\n"
        "    except OSError as error:\n        told = error.errno\n    return [told, os.path.exists('/etc/passwd')]\n"
    )
    answer = await execute(sandbox, code)
    assert value_from(answer.result)[1] is False  # type: ignore[index]


async def test_files_go_in_and_come_back(sandbox: "SandboxServiceAsyncStub") -> None:
    code = "def run():\n    open('b.txt', 'w').write(open('d/a.txt').read() * 2)\n"
    files = [pb.File(path="d/a.txt", content=b"hm")]
    answer = await execute(sandbox, code, input_files=files, output_files=["b.txt", "missing"])
    assert [(file.path, file.content) for file in answer.output_files] == [("b.txt", b"hmhm")]


async def test_a_batch_gives_each_inputs_result_in_order(sandbox: "SandboxServiceAsyncStub") -> None:
    request = pb.ExecuteBatchRequest(
        code="def run(n):\n    return 10 // n\n",
        entry_point="run",
        inputs=[struct(n=1), struct(n=0), struct(n=5)],
        sharing=pb.BATCH_SHARING_INTERPRETER,
        repeat=2,
    )
    request.limits.timeout.FromSeconds(20)
    results = [result async for answer in sandbox.ExecuteBatch(request) for result in answer.results]
    assert [each.index for each in results] == [0, 1, 2]
    assert [value_from(each.outcome.result) for each in results] == [10, None, 2]
    assert results[1].outcome.error.type == "ZeroDivisionError"
    assert [len(each.call_seconds) for each in results] == [2, 2, 2]


async def test_what_it_prints_can_be_followed(sandbox: "SandboxServiceAsyncStub") -> None:
    execution = pb.ExecuteRequest(code="def run():\n    print('hello')\n    return 7\n", entry_point="run")
    execution.limits.timeout.FromSeconds(20)
    heard = [each async for each in sandbox.ExecuteStream(pb.ExecuteStreamRequest(execution=execution))]
    assert b"".join(each.stdout for each in heard) == b"hello\n"
    assert value_from(heard[-1].finished.result) == 7


async def test_an_execution_that_needs_more_than_is_declared_is_not_sent_there(
    sandbox: "SandboxServiceAsyncStub",
) -> None:
    request = pb.ExecuteRequest(code="x = 1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER)
    assert (await refusal(sandbox.Execute(request))).reason == "ISOLATION_UNAVAILABLE"


async def test_one_that_goes_away_is_not_used_until_a_trial_run_succeeds(
    sandbox: "SandboxServiceAsyncStub", samples: Samples, request: pytest.FixtureRequest
) -> None:
    if "go" not in request.node.callspec.id:
        return
    samples.kill()
    refused = await refusal(execute(sandbox, "def run(): return 1"))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ISOLATION_UNAVAILABLE")
    samples.start()

    async def works() -> bool:
        with contextlib.suppress(grpc.aio.AioRpcError):
            return (await execute(sandbox, "def run(): return 1")).status == pb.EXECUTION_STATUS_OK
        return False

    await eventually(works, "it is used again", timeout_s=90)

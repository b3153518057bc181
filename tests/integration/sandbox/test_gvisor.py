"""The strongest level, on an engine of the test's own that has gVisor."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from autodev_sandbox import rootfs
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.execution import MIB, BackendUnavailable, Execution, IsolationLevel, Limits, Status
from autodev_sandbox.running import run_on
from tests.conftest import require
from tests.integration.sandbox.conftest import eventually
from tests.integration.sandbox.engines import PrivateEngine
from tests.integration.sandbox.test_result_channel import FORGED, WRITE_TO_THE_SUPERVISOR


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gvisor() -> AsyncIterator[ContainerBackend]:
    runsc = shutil.which("runsc")
    require(runsc, "gVisor's runsc is not installed. Try: apt-get install runsc")
    # Else it looks for the network that the engine has not given to it.
    engine = PrivateEngine({"runsc": {"path": runsc, "runtimeArgs": ["--network=none"]}})
    backend = ContainerBackend(rootfs.default_cache(), IsolationLevel.CONTAINER_GVISOR, floor=1, ceiling=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.address)
        try:
            await engine.start()
            try:
                await backend.probe()
            except BackendUnavailable as error:
                require(False, f"gVisor does not run here: {error}")
            yield backend
        finally:
            await backend.close()
            engine.remove()


async def test_the_kernel_is_gvisors(gvisor: ContainerBackend) -> None:
    outcome = await run_on(gvisor, Execution("import os\ndef f(): return os.uname().release", "f"))
    assert (outcome.status, outcome.level) == (Status.OK, IsolationLevel.CONTAINER_GVISOR)
    assert outcome.value != os.uname().release
    assert {facility.name: facility.available for facility in gvisor.facilities()}["gVisor"]


async def test_the_supervisors_channel_is_out_of_reach(gvisor: ContainerBackend) -> None:
    outcome = await run_on(gvisor, Execution(FORGED + WRITE_TO_THE_SUPERVISOR, "f"))
    assert (outcome.status, outcome.value) == (Status.OK, 1)


@pytest.mark.parametrize(
    ("code", "statuses"),
    [
        ("1 / 0", {Status.ERROR}),
        ("import sys; sys.exit(3)", {Status.ERROR}),
        ("while True: pass", {Status.TIMEOUT}),
        ("while True: print('x' * 1000)", {Status.OUTPUT_LIMIT}),
        # Its kernel goes with the code, and sometimes before the engine has told why.
        ("x = []\nwhile True: x.append(bytearray(1000000))", {Status.OOM, Status.KILLED}),
        ("import os\nwhile True: os.fork()", {Status.TIMEOUT, Status.ERROR, Status.KILLED, Status.OOM}),
        # Process 1 is not protected from its own there: that ends the execution, and proves nothing.
        ("import os, time\nos.kill(1, 9)\ntime.sleep(9)", {Status.KILLED}),
    ],
)
async def test_what_code_does_wrong_ends_as_elsewhere(
    gvisor: ContainerBackend, code: str, statuses: set[Status]
) -> None:
    limits = Limits(timeout_s=2, memory_bytes=128 * MIB, output_bytes=10_000, processes=20)
    assert (await run_on(gvisor, Execution(code, limits=limits))).status in statuses


async def test_only_tmp_can_be_written_and_nothing_executed(gvisor: ContainerBackend) -> None:
    code = """
import os, shutil, subprocess, sys
def f():
    written = []
    for folder, _, _ in os.walk('/'):
        try:
            open(folder + '/x', 'w').close()
            written.append(folder)
        except OSError: pass
    shutil.copyfile(sys.executable, '/tmp/python')
    os.chmod('/tmp/python', 0o755)
    try: subprocess.run(['/tmp/python', '-c', ''])
    except PermissionError: return [written, 'refused']
    return [written, 'ran']
"""
    outcome = await run_on(gvisor, Execution(code, "f"))
    assert outcome.value == [["/tmp"], "refused"], outcome


async def test_the_pool_is_filled_again(gvisor: ContainerBackend) -> None:
    await run_on(gvisor, Execution("1"))
    await eventually(lambda: gvisor.pool_status().ready >= 1 and not gvisor.pool_status().in_use, "one is ready")

"""The pool of containers: each used once, replaced when it dies, reaped when its service did."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import docker
import docker.errors
import pytest
import pytest_asyncio

from autodev_sandbox import lease, rootfs
from autodev_sandbox.backends.container import DEFAULT, ContainerBackend, ContainerSandbox
from autodev_sandbox.backends.engine import LABEL, Engine
from autodev_sandbox.execution import MIB, BackendUnavailable, Execution, IsolationLevel, Limits, Status
from autodev_sandbox.running import run, run_on
from tests.conftest import require
from tests.integration.sandbox.conftest import eventually

LIMITS = """
def f():
    def first(*paths):
        for path in paths:
            try: return open('/sys/fs/cgroup/' + path).read().split()
            except OSError: pass
    quota = first('cpu.max') or first('cpu/cpu.cfs_quota_us') + first('cpu/cpu.cfs_period_us')
    return [
        int(first('memory.max', 'memory/memory.limit_in_bytes')[0]),
        int(quota[0]) / int(quota[1]),
        int(first('pids.max', 'pids/pids.max')[0]),
    ]
"""


@pytest_asyncio.fixture(loop_scope="session")
async def backend() -> AsyncIterator[ContainerBackend]:
    made = ContainerBackend(rootfs.default_cache(), floor=2, ceiling=5)
    try:
        await made.probe()
    except BackendUnavailable as error:
        require(False, f"the container backend is not available: {error}")
    yield made
    await made.close()


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.from_env()) as client:
        yield client


def engine_of(backend: ContainerBackend) -> Engine:
    assert backend.engine
    return backend.engine


def own(backend: ContainerBackend, client: docker.DockerClient) -> set[str]:
    return with_label(client, engine_of(backend).owner_label)


def with_label(client: docker.DockerClient, label: str) -> set[str]:
    return {each["Id"] for each in client.api.containers(all=True, filters={"label": label})}


async def filled(backend: ContainerBackend) -> None:
    await eventually(lambda: at_rest(backend), "the pool is filled")


def at_rest(backend: ContainerBackend) -> bool:
    status = backend.pool_status()
    return status.ready >= status.floor and status.starting == status.in_use == status.ending == 0


async def take(backend: ContainerBackend, limits: Limits = DEFAULT) -> ContainerSandbox:
    taken = await backend.take(limits)
    assert isinstance(taken, ContainerSandbox)
    return taken


async def test_a_container_is_used_once_and_replaced(backend: ContainerBackend, client: docker.DockerClient) -> None:
    await filled(backend)
    before = own(backend, client)
    used = await take(backend)
    assert used.container in before
    assert (await run(used, Execution("x = 1"))).status is Status.OK
    backend.retire(used)
    await filled(backend)
    after = own(backend, client)
    assert used.container not in after
    assert len(after) == backend.pool_status().ready


async def test_a_container_that_died_waiting_is_replaced(
    backend: ContainerBackend, client: docker.DockerClient
) -> None:
    await filled(backend)
    before = own(backend, client)
    for container in before:
        # One that is more than is needed now may have been let go meanwhile.
        with contextlib.suppress(docker.errors.APIError):
            client.api.kill(container)
    await eventually(lambda: not own(backend, client) & before, "the dead are removed")
    assert (await run_on(backend, Execution("x = 1"))).status is Status.OK
    await filled(backend)


async def test_a_container_that_dies_between_take_and_use_has_run_nothing(
    backend: ContainerBackend, client: docker.DockerClient
) -> None:
    taken = await take(backend)
    client.api.kill(taken.container)
    await eventually(lambda: not taken.alive(), "its death is noticed")
    with pytest.raises(BackendUnavailable):
        await run(taken, Execution("x = 1"))
    backend.retire(taken)


async def test_a_container_that_is_killed_while_code_runs_is_killed(
    backend: ContainerBackend, client: docker.DockerClient
) -> None:
    taken = await take(backend)
    begun = asyncio.Event()
    code = Execution("import time; print('begun', flush=True); time.sleep(60)", limits=Limits(timeout_s=60))
    running = asyncio.create_task(run(taken, code, heard=lambda *_: begun.set()))
    await begun.wait()
    client.api.kill(taken.container)
    assert (await running).status is Status.KILLED
    backend.retire(taken)


async def test_memory_is_told_whatever_the_code_does_to_its_supervisor(backend: ContainerBackend) -> None:
    code = """
import resource
try: resource.prlimit(1, resource.RLIMIT_NOFILE, (5, 5))
except PermissionError: pass
with open('/tmp/x', 'wb') as file: file.write(bytes(50_000_000))"""
    outcome = await run_on(backend, Execution(code))
    assert outcome.status is Status.OK
    assert outcome.peak_memory_bytes > 50_000_000


async def test_memory_used_up_by_files_alone_is_out_of_memory(backend: ContainerBackend) -> None:
    # The supervisor goes with the code: nothing is left that could be killed instead.
    code = "file = open('/tmp/x', 'wb')\nwhile True: file.write(bytes(1000000)); file.flush()"
    outcome = await run_on(backend, Execution(code, limits=Limits(memory_bytes=24 * MIB)))
    assert outcome.status is Status.OOM


async def test_other_limits_are_given_to_a_container_that_waits(backend: ContainerBackend) -> None:
    await filled(backend)
    limits = Limits(memory_bytes=48 * MIB, cpus=0.5, processes=20)
    taken = await take(backend, limits)
    outcome = await run(taken, Execution(LIMITS, "f", limits=limits))
    assert outcome.value == [48 * MIB, 0.5, 21]
    backend.retire(taken)
    assert (await run_on(backend, Execution(LIMITS, "f"))).value == [256 * MIB, 1.0, 65]


async def test_another_size_of_tmp_takes_a_container_of_its_own(backend: ContainerBackend) -> None:
    code = "import os\ndef f():\n  of = os.statvfs('/tmp')\n  return [of.f_blocks * of.f_bsize, of.f_files]"
    execution = Execution(code, "f", limits=Limits(tmp_bytes=8 * MIB))
    assert (await run_on(backend, execution)).value == [8 * MIB, 2048]
    assert (await run_on(backend, Execution(code, "f"))).value == [64 * MIB, 16384]


async def test_files_in_tmp_are_bounded_in_number(backend: ContainerBackend) -> None:
    code = """
def f():
    for number in range(100_000):
        try: open(f'/tmp/{number}', 'w').close()
        except OSError as error: return [number, error.errno]
"""
    assert (await run_on(backend, Execution(code, "f", limits=Limits(tmp_bytes=4 * MIB)))).value == [1023, 28]


async def test_there_are_never_more_than_the_ceiling(backend: ContainerBackend, client: docker.DockerClient) -> None:
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, len(await asyncio.to_thread(own, backend, client)))

    counting = asyncio.create_task(count())
    outcomes = await asyncio.gather(*(run_on(backend, Execution(f"print({n})")) for n in range(12)))
    counting.cancel()
    assert [outcome.stdout for outcome in outcomes] == [f"{n}\n" for n in range(12)]
    assert 2 <= most <= 5


async def test_a_taking_that_is_given_up_leaves_nothing(backend: ContainerBackend, client: docker.DockerClient) -> None:
    taking = asyncio.create_task(backend.take(Limits(tmp_bytes=8 * MIB)))
    await eventually(lambda: len(own(backend, client)) > backend.pool_status().ready, "one is being made")
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await eventually(lambda: len(own(backend, client)) == backend.pool_status().ready, "it is gone")


async def test_closing_removes_all_even_those_in_use(client: docker.DockerClient) -> None:
    backend = ContainerBackend(rootfs.default_cache(), floor=2, ceiling=5)
    await backend.probe()
    label = engine_of(backend).owner_label
    await take(backend)
    await take(backend, Limits(tmp_bytes=8 * MIB))
    await backend.close()
    assert with_label(client, label) == set()
    assert backend.pool_status().ready == 0
    with pytest.raises(BackendUnavailable):
        await backend.take(DEFAULT)


def left_behind(client: docker.DockerClient, backend: ContainerBackend, **labels: str) -> str:
    """A container as a service makes it."""
    named = {LABEL: "1"} | {f"{LABEL}.{name}": value for name, value in labels.items()}
    made: str = client.api.create_container(backend.image, command=list(rootfs.HIDDEN_COMMAND), labels=named)["Id"]
    return made


async def test_the_dead_are_reaped_at_once_and_the_living_never(
    backend: ContainerBackend, client: docker.DockerClient
) -> None:
    held = engine_of(backend).lease
    assert held
    dead, living = lease.take(held.folder), lease.take(held.folder)
    dead.abandon()
    past, future = str(int(time.time()) - 10), str(int(time.time()) + 100)
    gone = {
        left_behind(client, backend, owner=dead.name, expires=future),
        left_behind(client, backend, owner="1-000000000000", expires=past),
        left_behind(client, backend),
    }
    stays = {
        left_behind(client, backend, owner=living.name, expires=past),
        left_behind(client, backend, owner="1-000000000000", expires=future),
    }
    other = ContainerBackend(rootfs.default_cache(), floor=0, ceiling=1)
    try:
        await other.probe()
        there = with_label(client, LABEL)
        assert gone & there == set()
        assert stays <= there
        assert own(backend, client)
    finally:
        await other.close()
        living.release()
        for container in stays:
            client.api.remove_container(container)


async def test_an_image_that_somebody_removed_is_made_again_by_the_next_probe(client: docker.DockerClient) -> None:
    backend = ContainerBackend(rootfs.default_cache(), floor=0, ceiling=2)
    await backend.probe()
    # By another name, so that nobody else's is taken away.
    client.images.get(backend.image).tag("autodev-sandbox-test", "removed")
    backend.image = "autodev-sandbox-test:removed"
    client.images.remove(backend.image)
    with pytest.raises(BackendUnavailable, match="No such image"):
        await backend.take(Limits(tmp_bytes=8 * MIB))
    await backend.probe()
    assert (await run_on(backend, Execution("x = 1"))).status is Status.OK
    await backend.close()


async def test_a_level_that_the_engine_lacks_holds_no_pool() -> None:
    backend = ContainerBackend(rootfs.default_cache(), IsolationLevel.CONTAINER_GVISOR, floor=2)
    with contextlib.closing(docker.from_env()) as client:
        require("runsc" not in client.info()["Runtimes"], "the engine has gVisor")
    with pytest.raises(BackendUnavailable, match="runsc"):
        await backend.probe()
    assert backend.pool_status().ready == backend.pool_status().starting == 0
    assert {facility.name: facility.available for facility in backend.facilities()}["gVisor"] is False
    await backend.close()


async def test_an_image_that_is_not_there_is_told() -> None:
    backend = ContainerBackend(rootfs.default_cache(), image="localhost:1/nothing:1")
    with pytest.raises(BackendUnavailable, match="neither has localhost:1/nothing:1 nor can pull it"):
        await backend.probe()
    await backend.close()

"""The engine goes away while the service runs, and comes back."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import docker
import grpc
import pytest
import pytest_asyncio

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox import levels
from autodev_sandbox.backends.engine import LABEL
from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.settings import SandboxSettings
from tests.integration.sandbox.conftest import eventually, ready
from tests.integration.sandbox.engines import PrivateEngine
from tests.integration.sandbox.service import Service, serving, within
from tests.integration.sandbox.test_leftovers import DAEMON, marked, marker

BACK_S = 60.0
CLIENTS = 4
CONTAINER, NAMESPACE = pb.ISOLATION_LEVEL_CONTAINER, pb.ISOLATION_LEVEL_NAMESPACE


@pytest_asyncio.fixture(loop_scope="session")
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateEngine]:
    """A private one, and the one that the service finds."""
    made = PrivateEngine()
    try:
        await made.start()
        monkeypatch.setenv("DOCKER_HOST", made.address)
        monkeypatch.setattr(levels, "PROBE_AGAIN_S", 0.5)
        yield made
    finally:
        await asyncio.to_thread(made.remove)


def settings(*names: IsolationLevel) -> SandboxSettings:
    return SandboxSettings(levels=frozenset(names), slots=CLIENTS)


class Load:
    """Clients that call one after the other, each call with a number of its own, and what they were answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.calls = 0
        self.answers: list[tuple[int, pb.ExecuteResponse]] = []
        self.refusals: Counter[grpc.StatusCode] = Counter()

    async def client(self) -> None:
        while True:
            self.calls += 1
            number = self.calls
            request = pb.ExecuteRequest(code=f"def f(): return {number}", entry_point="f")
            try:
                self.answers.append((number, await self.service.stub.Execute(request)))
            except grpc.aio.AioRpcError as error:
                self.refusals[error.code()] += 1
                await asyncio.sleep(0.05)

    def levels(self) -> set[int]:
        return {answer.isolation for _, answer in self.answers}

    def forget(self) -> None:
        self.answers.clear()
        self.refusals.clear()

    def check(self) -> None:
        """Each answer is its own question's, or says that it was cut off."""
        for number, answer in self.answers:
            assert answer.status in (pb.EXECUTION_STATUS_OK, pb.EXECUTION_STATUS_KILLED), answer
            if answer.status == pb.EXECUTION_STATUS_OK:
                assert answer.result.number_value == number
            else:
                assert answer.isolation == CONTAINER


@contextlib.asynccontextmanager
async def loaded(service: Service) -> AsyncIterator[Load]:
    load = Load(service)
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    try:
        yield load
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def until(holds: Callable[[], bool], what: str) -> None:
    """`eventually`, with the time that an engine takes to start."""
    deadline_s = time.monotonic() + BACK_S
    while not holds():
        assert time.monotonic() < deadline_s, f"still not so after {BACK_S} s: {what}"
        await asyncio.sleep(0.05)


async def long_execution(service: Service) -> tuple["asyncio.Task[pb.ExecuteResponse]", str]:
    """One that has begun in a container, and the name of its processes."""
    name = marker()
    code = DAEMON.replace("LEAVE", "os.setsid()") + f"f({name!r}, 1)"
    request = pb.ExecuteRequest(code=code, limits=within(60), min_isolation=CONTAINER)
    running = asyncio.ensure_future(service.stub.Execute(request))
    await eventually(lambda: len(marked(name)) == 2, "the code and its child run")
    return running, name


async def test_another_level_takes_over_and_gives_back(engine: PrivateEngine, tmp_path: Path) -> None:
    await (await ready("namespace")).close()
    offered = settings(IsolationLevel.CONTAINER, IsolationLevel.NAMESPACE)
    async with serving(offered, tmp_path) as service, loaded(service) as load:
        await until(lambda: CONTAINER in load.levels(), "the containers are ready")
        load.forget()
        await until(lambda: len(load.answers) > 2 * CLIENTS, "calls are answered")
        assert load.levels() == {CONTAINER}
        running, name = await long_execution(service)
        await engine.kill()
        # It may have done anything by now: it is not run again.
        cut_off = await asyncio.wait_for(running, 10)
        assert (cut_off.status, cut_off.isolation) == (pb.EXECUTION_STATUS_KILLED, CONTAINER)
        await eventually(lambda: marked(name) == [], "nothing of it runs on without its engine")
        load.check()
        load.forget()
        await until(lambda: len(load.answers) > 20, "calls are answered without the engine")
        load.check()
        assert NAMESPACE in load.levels()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.stub.Execute(pb.ExecuteRequest(code="1", min_isolation=CONTAINER))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        await engine.start()
        load.forget()
        await until(lambda: CONTAINER in load.levels(), "the containers are back")
        load.check()
        # Nothing was refused for want of a level.
        assert not load.refusals
    assert left(engine) == []


async def test_without_another_level_it_fails_closed_and_recovers(engine: PrivateEngine, tmp_path: Path) -> None:
    async with serving(settings(IsolationLevel.CONTAINER), tmp_path) as service:
        async with loaded(service) as load:
            await until(lambda: len(load.answers) > CLIENTS, "calls are answered")
            running, name = await long_execution(service)
            await engine.kill()
            assert (await asyncio.wait_for(running, 10)).status == pb.EXECUTION_STATUS_KILLED
            await eventually(lambda: marked(name) == [], "nothing of it runs on without its engine")
            await until(lambda: load.refusals.total() > CLIENTS, "calls are refused")
            assert set(load.refusals) == {grpc.StatusCode.FAILED_PRECONDITION}
            load.check()
            load.forget()
            await engine.start()
            await until(lambda: len(load.answers) > CLIENTS, "calls are answered again")
            assert load.levels() == {CONTAINER}
            load.check()
        await until(lambda: rested(service), "the pool is filled again")
    assert left(engine) == []


def rested(service: Service) -> bool:
    (status,) = (each for each in service.dispatcher.levels.statuses() if each.level is IsolationLevel.CONTAINER)
    return status.pool.ready >= status.pool.floor and not status.pool.in_use + status.pool.ending


def left(engine: PrivateEngine) -> list[str]:
    """The containers that are left after the service has closed."""
    with contextlib.closing(docker.DockerClient(base_url=engine.address)) as client:
        return [each["Status"] for each in client.api.containers(all=True, filters={"label": LABEL})]

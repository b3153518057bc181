"""The sandbox service as a process of its own, and a client of it."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

import grpc

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_runtime.identity import Identity
from autodev_sandbox.execution import IsolationLevel
from tests.mesh import HOST, TENANT, free_ports

PROGRAM: Final = "def f(): return 1"
START_S = 60.0
STOP_S = 30.0
POLL_S = 0.01
CALL_S = 60.0
IDENTITY: Final = Identity(TENANT, "benchmark", frozenset()).metadata()


class NotHere(Exception):
    """This machine does not give the level; the text says why."""


class Service:
    """One service that offers one level, and the calls to it."""

    def __init__(self, process: subprocess.Popen[bytes], channel: grpc.aio.Channel, level: IsolationLevel) -> None:
        self.pid = process.pid
        self.level = level
        self.stub = SandboxServiceStub(channel)
        self._process = process
        self._asked = pb.IsolationLevel.Value(f"ISOLATION_LEVEL_{level.name}")
        self._request = pb.ExecuteRequest(code=PROGRAM, entry_point="f", min_isolation=self._asked)

    async def execute(self) -> float:
        """Run the program in a sandbox. Returns the call's seconds, as its caller sees them."""
        started_s = time.perf_counter()
        answer = await self.stub.Execute(self._request, metadata=IDENTITY, timeout=CALL_S)
        seconds = time.perf_counter() - started_s
        if (
            answer.status != pb.EXECUTION_STATUS_OK
            or answer.result.number_value != 1
            or answer.isolation != self._asked
        ):
            raise AssertionError(f"an execution ended wrong: {answer}")
        return seconds

    async def no_op(self) -> float:
        """Ask for the status. Returns the call's seconds."""
        started_s = time.perf_counter()
        await self.status()
        return time.perf_counter() - started_s

    async def status(self) -> pb.IsolationLevelStatus:
        """What the service says of its level."""
        answer = await self.stub.GetSandboxStatus(pb.GetSandboxStatusRequest(), metadata=IDENTITY, timeout=CALL_S)
        return next(each for each in answer.levels if each.level == self._asked)

    async def batch_s(self, inputs: int) -> float:
        """Run a function on so many inputs in one interpreter. Returns the call's seconds."""
        request = pb.ExecuteBatchRequest(
            code="def f(x): return x + 1",
            entry_point="f",
            min_isolation=self._asked,
            sharing=pb.BATCH_SHARING_INTERPRETER,
        )
        for number in range(inputs):
            request.inputs.add().update({"x": number})
        started_s = time.perf_counter()
        answered = 0
        async for answer in self.stub.ExecuteBatch(request, metadata=IDENTITY, timeout=CALL_S):
            for each in answer.results:
                if each.index != answered or each.outcome.result.number_value != answered + 1:
                    raise AssertionError(f"input {answered} ended wrong: {each}")
                answered += 1
        seconds = time.perf_counter() - started_s
        if answered != inputs:
            raise AssertionError(f"{answered} of {inputs} inputs were answered")
        return seconds

    async def executions_a_second(self, clients: int, warm_up_s: float, seconds: float) -> float:
        """How many executions a second so many clients get, each of whom has one at a time, after the warm-up.

        The warm-up also uses up what the pool had ready, so that what is measured is what it makes meanwhile.
        """
        opens_s = time.monotonic() + warm_up_s
        answered, last_s = 0, opens_s

        async def work() -> None:
            nonlocal answered, last_s
            while last_s < opens_s + seconds:
                await self.execute()
                now_s = time.monotonic()
                if opens_s <= now_s and last_s < opens_s + seconds:
                    answered, last_s = answered + 1, now_s

        await asyncio.gather(*(work() for _ in range(clients)))
        return answered / (last_s - opens_s)

    async def available(self) -> None:
        """Wait until the level works. Raises NotHere where it does not."""
        deadline_s = time.monotonic() + START_S
        while True:
            detail = "the service does not answer"
            with contextlib.suppress(grpc.aio.AioRpcError):
                level = await self.status()
                if level.available:
                    return
                detail = level.detail
            if self._process.poll() is not None:
                raise NotHere(f"the service ended with status {self._process.returncode}")
            # It says so until it has looked, and then why not.
            if detail not in ("the service does not answer", "not tried yet") or time.monotonic() > deadline_s:
                raise NotHere(detail)
            await asyncio.sleep(POLL_S)

    async def rested(self) -> None:
        """Wait until the pool is as full as it wants to be, and nothing is being started or removed."""
        deadline_s = time.monotonic() + START_S
        for looks in itertools.count():
            pool = (await self.status()).pool
            if pool.ready >= pool.floor and not (pool.starting or pool.in_use or pool.ending):
                return
            if time.monotonic() > deadline_s:
                raise AssertionError(f"the pool of {self.level.name} does not come to rest ({looks} looks): {pool}")
            await asyncio.sleep(POLL_S)


@contextlib.asynccontextmanager
async def serving(level: IsolationLevel, settings: Mapping[str, str] | None = None) -> AsyncIterator[Service]:
    """A service that offers one level, by `python -m autodev_sandbox`. Raises NotHere."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="autodev-bench-") as directory:
        process = start(
            directory, {"PORT": str(port), "LEVELS": level.name, "LOG_LEVEL": "WARNING", **(settings or {})}
        )
        try:
            options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
            async with grpc.aio.insecure_channel(f"{HOST}:{port}", options=options) as channel:
                service = Service(process, channel, level)
                await service.available()
                yield service
        finally:
            await asyncio.to_thread(end, process)


def start(directory: str, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the service; its settings by their names without the prefix."""
    return subprocess.Popen(
        [sys.executable, "-m", "autodev_sandbox"],
        env=os.environ | {f"AUTODEV_SANDBOX_{name}": value for name, value in settings.items()},
        cwd=directory,
        stdin=subprocess.DEVNULL,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Drain the service; kill it if it does not end."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""What the container engine takes by itself: `docker run`, `docker exec`, and create, start and remove."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, cast

from autodev_sandbox import rootfs
from autodev_sandbox.backends.container import LABEL as SANDBOX
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.execution import BackendUnavailable, Execution
from benchmarks.sandbox.service import NotHere
from benchmarks.sandbox.spawner import COMMAND

LABEL = "autodev.benchmark"


class Engine:
    """Containers of the backend's image with the backend's flags, made by the docker SDK's low-level calls."""

    def __init__(self, backend: ContainerBackend) -> None:
        assert backend.client
        self._api = backend.client.api
        self._image = backend.image
        self._host = {**backend.confinement(Execution(code="")), "auto_remove": False}

    @classmethod
    async def connect(cls, cache: Path) -> Self:
        """Raises NotHere where no engine answers."""
        backend = ContainerBackend(cache)
        try:
            await asyncio.to_thread(backend.connect)
        except BackendUnavailable as error:
            raise NotHere(str(error)) from error
        return cls(backend)

    def run_s(self) -> float:
        """Seconds of `docker run --rm` with all the flags: create, start, wait, remove."""
        started_s = time.perf_counter()
        name = self.create((rootfs.PYTHON, *COMMAND))
        self._api.start(name)
        ended = self._api.wait(name)
        self.remove(name)
        if ended["StatusCode"] != 0:
            raise AssertionError(f"the container ended with {ended}")
        return time.perf_counter() - started_s

    def exec_s(self, name: str) -> float:
        """Seconds of `docker exec` in a container that is up."""
        started_s = time.perf_counter()
        self._api.exec_start(self._api.exec_create(name, [rootfs.PYTHON, *COMMAND])["Id"])
        return time.perf_counter() - started_s

    @contextlib.contextmanager
    def warm(self) -> Iterator[str]:
        """A container that is up and waits. Yields its name."""
        name = self.create(rootfs.COMMAND)
        try:
            self._api.start(name)
            yield name
        finally:
            self.remove(name)

    def cycles_a_second(self, at_a_time: int, warm_up_s: float, seconds: float) -> float:
        """How many containers a second the engine creates, starts and removes, so many at a time, after the warm-up."""
        opens_s = time.monotonic() + warm_up_s
        ends: list[float] = []
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                name = self.create(rootfs.COMMAND)
                self._api.start(name)
                self.remove(name)
                ends.append(time.monotonic())
                if ends[-1] >= opens_s + seconds:
                    ended.set()

        with ThreadPoolExecutor(at_a_time) as workers:
            for each in [workers.submit(work) for _ in range(at_a_time)]:
                each.result()
        counted = sorted(each for each in ends if each >= opens_s)
        closes = next(place for place, each in enumerate(counted) if each >= opens_s + seconds)
        return (closes + 1) / (counted[closes] - opens_s)

    def create(self, command: tuple[str, ...]) -> str:
        made: dict[str, Any] = self._api.create_container(
            self._image,
            command=list(command),
            hostname="sandbox",
            user=f"{rootfs.USER_ID}:{rootfs.USER_ID}",
            working_dir="/tmp",
            environment=rootfs.ENVIRONMENT,
            stdin_open=True,
            labels={LABEL: "1"},
            host_config=self._api.create_host_config(**self._host),
        )
        return cast(str, made["Id"])

    def sandboxes(self) -> int:
        """How many containers of the service there are, running or not."""
        return len(self._api.containers(all=True, filters={"label": SANDBOX}))

    def remove(self, name: str) -> None:
        self._api.remove_container(name, force=True, v=True)

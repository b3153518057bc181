"""What the container engine takes by itself: `docker run`, `docker exec`, and create, start and remove."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, cast

import docker
import docker.errors
import requests

from autodev_sandbox import rootfs
from autodev_sandbox.backends.engine import LABEL as SANDBOX
from autodev_sandbox.backends.engine import OWNER_LABEL
from benchmarks.sandbox.service import NotHere
from benchmarks.sandbox.spawner import COMMAND

LABEL = "autodev.benchmark"
TIMEOUT_S = 120


class Engine:
    """Containers as the service makes them, made by the docker SDK's low-level calls."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api: Any = api  # Half of it has no types.
        self._config: dict[str, Any] = {}

    @classmethod
    @contextlib.contextmanager
    def connect(cls) -> Iterator[Self]:
        """Raises NotHere where no engine answers."""
        try:
            client = docker.from_env(timeout=TIMEOUT_S, max_pool_size=16)
            client.ping()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise NotHere(f"no container engine answers: {error}") from error
        with contextlib.closing(client):
            yield cls(client.api)

    def imitate(self) -> None:
        """Make containers from here on like one of the service's that waits: image, command, every flag."""
        found = self._api.inspect_container(self._sandboxes(all=False)[0]["Id"])
        host = {**found["HostConfig"], "AutoRemove": False}
        self._config = {**found["Config"], "HostConfig": host, "Labels": {LABEL: "1"}}

    def run_s(self) -> float:
        """Seconds of `docker run --rm` with all the flags: create, start, wait, remove."""
        started_s = time.perf_counter()
        name = self._create((rootfs.PYTHON, *COMMAND))
        self._api.start(name)
        ended = self._api.wait(name)
        self._remove(name)
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
        name = self._create()
        try:
            self._api.start(name)
            yield name
        finally:
            self._remove(name)

    def cycles_a_second(self, at_a_time: int, warm_up_s: float, seconds: float) -> float:
        """How many containers a second the engine creates, starts and removes, so many at a time, after the warm-up."""
        opens_s = time.monotonic() + warm_up_s
        ends: list[float] = []
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                name = self._create()
                self._api.start(name)
                self._remove(name)
                ends.append(time.monotonic())
                if ends[-1] >= opens_s + seconds:
                    ended.set()

        with ThreadPoolExecutor(at_a_time) as workers:
            for each in [workers.submit(work) for _ in range(at_a_time)]:
                each.result()
        counted = sorted(each for each in ends if each >= opens_s)
        closes = next(place for place, each in enumerate(counted) if each >= opens_s + seconds)
        return (closes + 1) / (counted[closes] - opens_s)

    def sandboxes(self, service: int) -> int:
        """How many containers the service with this process id has, running or not."""
        owners = [each["Labels"][OWNER_LABEL] for each in self._sandboxes(all=True)]
        return sum(owner.startswith(f"{service}-") for owner in owners)

    def _sandboxes(self, *, all: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.containers(all=all, filters={"label": SANDBOX})
        return found

    def _create(self, command: Sequence[str] = ()) -> str:
        config = {**self._config, **({"Cmd": list(command)} if command else {})}
        return cast(str, self._api.create_container_from_config(config)["Id"])

    def _remove(self, name: str) -> None:
        self._api.remove_container(name, force=True, v=True)

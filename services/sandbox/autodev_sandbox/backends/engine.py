"""A container engine, for as long as it is there: its calls, what becomes of its containers, and whose those are."""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import docker
import docker.errors
import requests

from autodev_sandbox import lease
from autodev_sandbox.backends.attached import Address, Attached, attach, engine_address, events
from autodev_sandbox.execution import BackendUnavailable
from autodev_sdk.ending import ended

ENGINE_ADVICE: Final = (
    "no container engine answers ({error}). Try: apt-get install docker.io, then start dockerd, or set DOCKER_HOST"
)
LABEL: Final = "autodev.sandbox"
OWNER_LABEL: Final = "autodev.sandbox.owner"
EXPIRES_LABEL: Final = "autodev.sandbox.expires"
# Of a container whose owner's lease is kept elsewhere. Pools recycle theirs within minutes, and executions are bounded.
LIFETIME_S: Final = 24 * 3600
LEASES: Final = "leases"
ENGINE_ERRORS: Final = (docker.errors.DockerException, requests.RequestException, OSError)
ENGINE_TIMEOUT_S: Final = 30
CLOSE_S: Final = 20.0
T = TypeVar("T")


@dataclass
class Fate:
    """What has become of a container."""

    oom_kills: int = 0
    died: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class Engine:
    """One connection with an engine, from its finding until it is lost or closed. Lives on one event loop.

    The SDK blocks: its calls have threads of their own. What happens to the containers the engine tells by itself.
    """

    def __init__(self, client: docker.DockerClient, address: Address, threads: int) -> None:
        self.client = client
        self.address = address
        self.info: dict[str, Any] = {}
        self.lease: lease.Lease | None = None
        self.lost = False
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._fates: dict[str, Fate] = {}
        self._listening: asyncio.Task[None] | None = None

    async def settle(self, cache: Path) -> None:
        """Take a lease on what is made from now on, and hear of it. Raises BackendUnavailable."""
        # One folder an engine: an heir must be able to clean up.
        leases = cache / LEASES / re.sub(r"\W", "", self.info.get("ID") or "engine")
        try:
            self.lease = lease.take(leases)
        except OSError as error:
            raise BackendUnavailable(f"no lease on the engine's containers can be kept in {cache}: {error}") from error
        hears: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._hear(hears, self.owner_label))
        await hears

    async def reap(self) -> None:
        """Remove the containers of services that were killed. Raises BackendUnavailable."""
        assert self.lease
        await self.call(reap, self.client, self.lease.folder)

    @property
    def owner_label(self) -> str:
        assert self.lease
        return f"{OWNER_LABEL}={self.lease.name}"

    async def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call the SDK in a thread. Raises BackendUnavailable."""
        if self.lost:
            raise BackendUnavailable(ENGINE_ADVICE.format(error="it went away"))
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: function(*arguments, **options))
        except docker.errors.APIError as error:
            raise BackendUnavailable(f"the container engine refuses: {error.explanation or error}") from error
        except ENGINE_ERRORS as error:
            raise BackendUnavailable(ENGINE_ADVICE.format(error=error)) from error

    async def attach(self, container: str) -> Attached:
        try:
            return await attach(self.address, container)
        except OSError as error:
            raise BackendUnavailable(ENGINE_ADVICE.format(error=error)) from error

    async def update(self, container: str, **limits: int) -> None:
        """Give a running container other limits. Raises BackendUnavailable.

        The SDK knows but some of them.
        """
        api = self.client.api
        target = f"{api.base_url}/v{api.api_version}/containers/{container}/update"
        answer = await self.call(api.post, target, json=limits, timeout=ENGINE_TIMEOUT_S)
        if answer.status_code != 200:
            raise BackendUnavailable(f"the engine does not change a container's limits: {answer.text[:300]}")

    def labels(self) -> dict[str, str]:
        """What tells that a container is ours, and until when."""
        assert self.lease
        return {LABEL: "1", OWNER_LABEL: self.lease.name, EXPIRES_LABEL: str(int(time.time() + LIFETIME_S))}

    def follow(self, container: str) -> Fate:
        """Take note of what happens to it, from before its start until its removal."""
        self._fates[container] = Fate()
        if self.lost:
            self._fates[container].gone.set()
        return self._fates[container]

    async def remove(self, container: str) -> None:
        """Kill and remove it, if it is there."""
        with contextlib.suppress(BackendUnavailable):
            await self.call(remove, self.client, container)

    async def close(self) -> None:
        """Remove every container that is left of ours, and let go."""
        if self.lease:
            with contextlib.suppress(BackendUnavailable, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.call(remove_all, self.client, self.owner_label)
                self.lease.release()
            self.lease.abandon()
        self.lost = True
        if self._listening:
            await ended(self._listening)
        self._threads.shutdown(wait=False)
        self.client.close()

    async def _hear(self, hears: "asyncio.Future[None]", label: str) -> None:
        error = "it tells no events"
        try:
            async for container, action in events(self.address, label):
                if not hears.done():
                    hears.set_result(None)
                elif fate := self._fates.get(container):
                    note(fate, action)
                    if fate.gone.is_set():
                        del self._fates[container]
        except (OSError, ValueError) as broken:
            error = str(broken)
        finally:
            self._lose()
        if not hears.done():
            hears.set_exception(BackendUnavailable(ENGINE_ADVICE.format(error=error)))

    def _lose(self) -> None:
        """Nothing is heard of its containers any more: they are as good as gone."""
        self.lost = True
        for fate in self._fates.values():
            fate.gone.set()


def note(fate: Fate, action: str) -> None:
    match action:
        case "oom":
            fate.oom_kills += 1
        case "die":
            fate.died = True
        case "destroy":
            fate.gone.set()


async def find_engine(threads: int) -> Engine:
    """The engine, and what it says of itself. Raises BackendUnavailable."""
    try:
        address = engine_address()
        client = await asyncio.to_thread(docker.from_env, timeout=ENGINE_TIMEOUT_S, max_pool_size=threads)
    except (*ENGINE_ERRORS, ValueError) as error:
        raise BackendUnavailable(ENGINE_ADVICE.format(error=error)) from error
    engine = Engine(client, address, threads)
    try:
        engine.info = await engine.call(client.info)
    except BackendUnavailable:
        await engine.close()
        raise
    return engine


def reap(client: docker.DockerClient, leases: Path) -> None:
    """Remove the containers of services that were killed; never a living one's."""
    with lease.inherited(leases) as dead:
        for name in dead:
            remove_all(client, f"{OWNER_LABEL}={name}")
    for container in client.api.containers(all=True, filters={"label": LABEL}):
        labels = container["Labels"]
        unknown = not lease.known(leases, labels.get(OWNER_LABEL, ""))
        if unknown and expiry(labels) < time.time():
            remove(client, container["Id"])


def expiry(labels: dict[str, str]) -> float:
    try:
        return float(labels.get(EXPIRES_LABEL, 0))
    except ValueError:
        return 0.0


def remove_all(client: docker.DockerClient, label: str) -> None:
    for container in client.api.containers(all=True, filters={"label": label}):
        remove(client, container["Id"])


def remove(client: docker.DockerClient, container: str) -> None:
    """Kill and remove it, if it is there."""
    with contextlib.suppress(docker.errors.NotFound):
        try:
            client.api.remove_container(container, force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code != requests.codes.conflict:
                raise
            # The engine is at it already.
            client.api.wait(container, condition="removed", timeout=ENGINE_TIMEOUT_S)

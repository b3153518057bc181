"""A container without network or capabilities, on a read-only root: one container an execution, removed after it."""

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import docker
import docker.errors
import requests

from autodev_sandbox import rootfs
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.backends.socket_channel import SocketChannel
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.image import ensure_image
from autodev_sandbox.running import GRACE_S, prove
from autodev_sandbox.wire import Confinement

ENGINE_ADVICE = (
    "no container engine answers ({error}). Try: apt-get install docker.io, then start dockerd, or set DOCKER_HOST"
)
GVISOR_ADVICE = "the engine has no runsc runtime. Try: install gVisor's runsc and register it by `runsc install`"
GVISOR_RUNTIME = "runsc"
LABEL, EXPIRES_LABEL = "autodev.sandbox", "autodev.sandbox.expires"
CONFINEMENT: Final = Confinement(reads_cgroup=True)
ENGINE_ERRORS: Final = (docker.errors.DockerException, requests.RequestException, OSError)
ENGINE_TIMEOUT_S = 30
STDOUT = 1


class ContainerBackend:
    """Any engine that speaks Docker's protocol. The SDK blocks, so an execution occupies a thread while it runs."""

    def __init__(self, cache: Path, level: IsolationLevel = IsolationLevel.CONTAINER) -> None:
        self.cache = cache
        self.level = level
        self.runtime = GVISOR_RUNTIME if level is IsolationLevel.CONTAINER_GVISOR else None
        self.image = ""
        self.cores = 1.0
        self.client: docker.DockerClient | None = None
        self.in_use: set[ContainerSandbox] = set()
        self.ending: set[asyncio.Task[None]] = set()

    async def probe(self) -> str:
        detail = await asyncio.to_thread(self.connect)
        await prove(self)
        return detail

    async def take(self, limits: Limits) -> Sandbox:
        name = f"autodev-sandbox-{uuid4().hex}"
        starting = asyncio.create_task(asyncio.to_thread(self.start, name, limits))
        try:
            attached = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.gather(starting, return_exceptions=True)
            await asyncio.to_thread(self.remove, name)
            raise
        except ENGINE_ERRORS as error:
            await asyncio.to_thread(self.remove, name)
            raise BackendUnavailable(ENGINE_ADVICE.format(error=error)) from error
        sandbox = ContainerSandbox(self, name, attached)
        self.in_use.add(sandbox)
        return sandbox

    def retire(self, sandbox: Sandbox) -> None:
        assert isinstance(sandbox, ContainerSandbox)
        self.in_use.discard(sandbox)
        task = asyncio.create_task(sandbox.end())
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    def facilities(self) -> list[Facility]:
        return []

    def pool_status(self) -> PoolStatus:
        return PoolStatus(in_use=len(self.in_use), ending=len(self.ending))

    async def close(self) -> None:
        await asyncio.gather(*self.ending, *(sandbox.end() for sandbox in self.in_use))
        if self.client:
            await asyncio.to_thread(self.client.close)

    def connect(self) -> str:
        try:
            if self.client is None:
                self.client = docker.from_env(timeout=ENGINE_TIMEOUT_S, max_pool_size=2 * (os.cpu_count() or 1) + 2)
            info = self.client.info()
            if self.runtime and self.runtime not in info.get("Runtimes", {}):
                raise BackendUnavailable(GVISOR_ADVICE)
            self.cores = float(info["NCPU"])
            self.reap()
            self.image = ensure_image(self.client, self.cache)
        except ENGINE_ERRORS as error:
            raise BackendUnavailable(ENGINE_ADVICE.format(error=error)) from error
        return f"container engine {info['ServerVersion']}, runtime {self.runtime or info.get('DefaultRuntime', '?')}"

    def reap(self) -> None:
        """Remove the containers that a service which was killed left behind."""
        assert self.client
        for container in self.client.api.containers(all=True, filters={"label": LABEL}):
            if float(container["Labels"].get(EXPIRES_LABEL, 0)) < time.time():
                self.remove(container["Id"])

    def remove(self, name: str) -> None:
        assert self.client
        with contextlib.suppress(*ENGINE_ERRORS):
            self.client.api.remove_container(name, force=True, v=True)

    def start(self, name: str, limits: Limits) -> socket.socket:
        """Create, attach, start; the supervisor inside waits for its request on the attached stream."""
        assert self.client
        api = self.client.api
        expires_s = time.time() + limits.timeout_s + GRACE_S + ENGINE_TIMEOUT_S
        api.create_container(
            self.image,
            command=list(rootfs.HIDDEN_COMMAND),
            name=name,
            hostname="sandbox",
            user=f"{rootfs.USER_ID}:{rootfs.USER_ID}",
            working_dir="/tmp",
            environment=rootfs.ENVIRONMENT,
            stdin_open=True,
            labels={LABEL: "1", EXPIRES_LABEL: str(int(expires_s))},
            host_config=api.create_host_config(**self.confinement(limits)),
        )
        attached = api.attach_socket(name, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        api.start(name)
        # The SDK gives the file object around the socket, which cannot time out.
        channel: socket.socket = getattr(attached, "_sock", attached)
        return channel

    def confinement(self, limits: Limits) -> dict[str, Any]:
        return {
            "network_mode": "none",
            "ipc_mode": "none",
            "read_only": True,
            "tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,mode=1777,size={limits.tmp_bytes}"},
            "mem_limit": limits.memory_bytes,
            "memswap_limit": limits.memory_bytes,
            "nano_cpus": int(max(0.01, min(limits.cpus, self.cores)) * 1e9),
            # One more for the supervisor.
            "pids_limit": limits.processes + 1,
            "cap_drop": ["ALL"],
            # seccomp: the engine's own default filter, which naming another would replace.
            "security_opt": ["no-new-privileges:true"],
            "runtime": self.runtime,
            # What the sandbox writes is ours to keep, not the engine's log's.
            "log_config": {"type": "none"},
        }

    def why_lost(self, name: str) -> Status:
        assert self.client
        state = self.client.api.inspect_container(name)["State"]
        return Status.OOM if state.get("OOMKilled") else Status.KILLED


class ContainerSandbox:
    """A started container, and the stream attached to it."""

    confinement = CONFINEMENT

    def __init__(self, backend: ContainerBackend, name: str, attached: socket.socket) -> None:
        self.backend = backend
        self.level = backend.level
        self.name = name
        self.channel = SocketChannel(attached)
        self.send = self.channel.send
        self.frames = FrameReader()

    async def receive(self) -> bytes:
        while data := await self.channel.receive():
            if said := self.frames.feed(data):
                return said
        return b""

    def oom_kills(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    async def why_lost(self) -> Status:
        try:
            return await asyncio.to_thread(self.backend.why_lost, self.name)
        except ENGINE_ERRORS:
            return Status.KILLED

    async def end(self) -> None:
        await asyncio.to_thread(self.backend.remove, self.name)
        self.channel.close()


class FrameReader:
    """Takes the attached stream apart: each frame has a kind, three zero bytes, a length, and that many bytes."""

    def __init__(self) -> None:
        self.data = b""

    def feed(self, data: bytes) -> bytes:
        """What the frames that are now whole hold of stdout."""
        self.data += data
        stdout = b""
        while len(self.data) >= 8 and len(self.data) >= 8 + (size := int.from_bytes(self.data[4:8], "big")):
            if self.data[0] == STDOUT:
                stdout += self.data[8 : 8 + size]
            self.data = self.data[8 + size :]
        return stdout

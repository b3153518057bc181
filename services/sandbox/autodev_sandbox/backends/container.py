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
from autodev_sandbox.backends import prove
from autodev_sandbox.backends.pipes import CHUNK_BYTES, GRACE_S, lost
from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Outcome, Status
from autodev_sandbox.image import ensure_image
from autodev_sandbox.report import BrokenReport, Confinement, Report, ReportReader, encode_request, outcome_of

ENGINE_ADVICE = (
    "no container engine answers ({error}). Try: apt-get install docker.io, then start dockerd, or set DOCKER_HOST"
)
GVISOR_ADVICE = "the engine has no runsc runtime. Try: install gVisor's runsc and register it by `runsc install`"
GVISOR_RUNTIME = "runsc"
LABEL, EXPIRES_LABEL = "autodev.sandbox", "autodev.sandbox.expires"
CONFINEMENT: Final = Confinement(hide_supervisor=True, reads_cgroup=True)
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

    async def probe(self) -> str:
        detail = await asyncio.to_thread(self.connect)
        await prove(self)
        return detail

    async def run(self, execution: Execution) -> Outcome:
        name = f"autodev-sandbox-{uuid4().hex}"
        running = asyncio.create_task(asyncio.to_thread(self.run_blocking, name, execution))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # The thread waits for the container: without it, it ends.
            await asyncio.to_thread(self.remove, name)
            with contextlib.suppress(Exception):
                await running
            raise

    async def close(self) -> None:
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

    def run_blocking(self, name: str, execution: Execution) -> Outcome:
        started_s = time.monotonic()
        deadline_s = started_s + execution.limits.timeout_s + GRACE_S
        try:
            channel = self.start(name, execution)
            with contextlib.closing(channel):
                channel.sendall(encode_request(execution, CONFINEMENT))
                report = read_report(channel, execution, deadline_s)
            if report:
                return outcome_of(execution, report, self.level, peak_bytes=0, oom_kills=0)
            return lost(self.level, self.why_lost(name), time.monotonic() - started_s)
        except TimeoutError:
            return lost(self.level, Status.TIMEOUT, time.monotonic() - started_s)
        except ENGINE_ERRORS as error:
            raise BackendUnavailable(ENGINE_ADVICE.format(error=error)) from error
        finally:
            self.remove(name)

    def start(self, name: str, execution: Execution) -> socket.socket:
        """Create, attach, start; the supervisor inside waits for its request on the attached stream."""
        assert self.client
        api = self.client.api
        limits = execution.limits
        expires_s = time.time() + limits.timeout_s + GRACE_S + ENGINE_TIMEOUT_S
        api.create_container(
            self.image,
            command=list(rootfs.COMMAND),
            name=name,
            hostname="sandbox",
            user=f"{rootfs.USER_ID}:{rootfs.USER_ID}",
            working_dir="/tmp",
            environment=rootfs.ENVIRONMENT,
            stdin_open=True,
            labels={LABEL: "1", EXPIRES_LABEL: str(int(expires_s))},
            host_config=api.create_host_config(**self.confinement(execution)),
        )
        attached = api.attach_socket(name, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        api.start(name)
        # The SDK gives the file object around the socket, which cannot time out.
        channel: socket.socket = getattr(attached, "_sock", attached)
        return channel

    def confinement(self, execution: Execution) -> dict[str, Any]:
        limits = execution.limits
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


def read_report(channel: socket.socket, execution: Execution, deadline_s: float) -> Report | None:
    """The supervisor's report; None when it died. Raises TimeoutError."""
    reader = ReportReader(execution.limits.output_bytes)
    frames = FrameReader()
    try:
        while True:
            channel.settimeout(max(deadline_s - time.monotonic(), 0.001))
            data = channel.recv(CHUNK_BYTES)
            if not data:
                return None
            if (said := frames.feed(data)) and (report := reader.feed(said)):
                return report
    except BrokenReport:
        return None


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

"""A container without network or capabilities, on a read-only root: started beforehand, used by one execution."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from autodev_sandbox import rootfs, seccomp
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.backends.attached import Attached
from autodev_sandbox.backends.engine import Engine, Fate, find_engine
from autodev_sandbox.backends.engine_facilities import GVISOR_RUNTIME, check_limits, default_runtime, facilities_of
from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Limits, Status
from autodev_sandbox.image import ensure_given_image, ensure_image
from autodev_sandbox.pool import Pool
from autodev_sandbox.running import prove, run_on
from autodev_sandbox.wire import Confinement

log = logging.getLogger(__name__)

GVISOR_ADVICE: Final = "the engine has no runsc runtime. Try: install gVisor's runsc and register it by `runsc install`"
DEFAULT: Final = Limits()
# Half of a container's start is waiting, for the kernel and for the engine's locks.
MAKERS: Final = 3 * (os.cpu_count() or 1)
READY_S: Final = 30.0
AFTER_YOU_S: Final = 0.02
CLOSE_S: Final = 20.0
# From a supervisor's end to the removal of its container, on a busy machine.
GONE_S: Final = 10.0
PAGE_BYTES: Final = 4096
# gVisor's kernel is a process itself: its threads, and one for each of the code's, count as well.
GVISOR_PROCESSES: Final = 128
# Tries to open the channel between supervisor and host.
REACH: Final = Execution(
    code="""
import os
def reached():
    found = []
    for descriptor in range(3):
        path = f"/proc/{os.getppid()}/fd/{descriptor}"
        try: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        except OSError: continue
        found.append(path)
    return found
""",
    entry_point="reached",
    limits=Limits(timeout_s=10),
)
T = TypeVar("T")


class ContainerBackend:
    """Any engine that speaks Docker's protocol."""

    def __init__(
        self,
        cache: Path,
        level: IsolationLevel = IsolationLevel.CONTAINER,
        *,
        packages: tuple[str, ...] = (),
        image: str = "",
        floor: int = 1,
        ceiling: int = 8,
    ) -> None:
        self.cache = cache
        self.level = level
        self.packages = packages
        self.given_image = image
        self.confinement = Confinement(reads_cgroup=True, filter=system_call_filter())
        self.runtime = GVISOR_RUNTIME if level is IsolationLevel.CONTAINER_GVISOR else None
        self.image = ""
        self.engine: Engine | None = None
        self.pool = Pool(self.start_default, floor=floor, ceiling=ceiling, makers=MAKERS)
        self.info: dict[str, Any] = {}
        self._special: set[ContainerSandbox] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def probe(self) -> str:
        try:
            engine = await self.connect()
            self.pool.open()
            await prove(self)
            await self.prove_apart()
        except BackendUnavailable:
            # Closing ends those in use, too, and they may be well.
            if not self.pool.status().in_use:
                await self.pool.close()
            raise
        return (
            f"container engine {engine.info['ServerVersion']}, runtime {self.runtime or default_runtime(engine.info)}"
        )

    async def prove_apart(self) -> None:
        """What the code could write there would be taken for the supervisor's word. Raises BackendUnavailable."""
        outcome = await run_on(self, REACH)
        if outcome.value != []:
            raise BackendUnavailable(f"the runtime lets code reach its supervisor: {outcome.value or outcome.error}")

    async def take(self, limits: Limits) -> Sandbox:
        if limits.tmp_bytes != DEFAULT.tmp_bytes:
            return await self.take_special(limits)
        sandbox = await self.pool.take()
        if confining(limits) == confining(DEFAULT):
            return sandbox
        try:
            await sandbox.confine(limits)
        except BaseException as error:
            self.retire(sandbox)
            if isinstance(error, BackendUnavailable):
                return await self.take_special(limits)
            raise
        return sandbox

    async def take_special(self, limits: Limits) -> Sandbox:
        """One made for these limits."""
        starting = self.in_background(self.start(limits))
        try:
            sandbox = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self.in_background(end_when_started(starting))
            raise
        self._special.add(sandbox)
        return sandbox

    def retire(self, sandbox: Sandbox) -> None:
        assert isinstance(sandbox, ContainerSandbox)
        if sandbox in self._special:
            self._special.remove(sandbox)
            self.in_background(sandbox.end())
        else:
            self.pool.retire(sandbox)

    def facilities(self) -> list[Facility]:
        return facilities_of(self.info, self.runtime)

    def pool_status(self) -> PoolStatus:
        pooled = self.pool.status()
        return replace(pooled, in_use=pooled.in_use + len(self._special))

    async def close(self) -> None:
        for sandbox in list(self._special):
            self.retire(sandbox)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(self.pool.close(), *self._tasks, return_exceptions=True)  # noqa: TID251 -- all must close
        if self.engine:
            await self.engine.close()

    async def connect(self) -> Engine:
        """The engine, found anew if it was lost, the dead's containers gone, and the image there."""
        if self.engine and self.engine.lost:
            # What is left of ours goes with the lease.
            lost, self.engine = self.engine, None
            await lost.close()
        engine = self.engine = self.engine or await self.find()
        await engine.reap()
        if self.given_image:
            self.image = await engine.call(ensure_given_image, engine.client, self.given_image)
        else:
            self.image = await engine.call(ensure_image, engine.client, self.cache, self.packages)
        return engine

    async def find(self) -> Engine:
        engine = await find_engine(threads=2 * MAKERS)
        self.info = engine.info
        try:
            if self.runtime and self.runtime not in engine.info.get("Runtimes", {}):
                raise BackendUnavailable(GVISOR_ADVICE)
            check_limits(engine.info)
            await engine.settle(self.cache)
        except BackendUnavailable:
            await engine.close()
            raise
        return engine

    async def start_default(self) -> "ContainerSandbox":
        if not self.pool.awaited:
            # The engine carries the stream of the execution that has just got one: let it answer first.
            await asyncio.sleep(AFTER_YOU_S)
        return await self.start(DEFAULT)

    async def start(self, limits: Limits) -> "ContainerSandbox":
        """Create, attach, start, until the supervisor inside waits for its request on the attached stream."""
        engine = self.engine
        if engine is None:
            raise BackendUnavailable("the container engine is not connected")
        api = engine.client.api
        config = api.create_container_config(
            self.image,
            command=list(rootfs.HIDDEN_COMMAND),
            hostname="sandbox",
            user=f"{rootfs.USER_ID}:{rootfs.USER_ID}",
            working_dir="/tmp",
            environment=rootfs.ENVIRONMENT,
            stdin_open=True,
            labels=engine.labels(),
            host_config=api.create_host_config(**self.host_config(limits, engine)),
        )
        # The engine closes stdin when we are gone, which ends the supervisor, and with it the container.
        config["StdinOnce"] = True
        name = f"autodev-sandbox-{uuid4().hex}"
        attached = None
        try:
            container = (await engine.call(api.create_container_from_config, config, name))["Id"]
            fate = engine.follow(container)
            attached = await engine.attach(container)
            await engine.call(api.start, container)
            await be_ready(attached)
        except BaseException:
            if attached:
                attached.close()
            # By its name: an engine that is slow to answer may have made it all the same.
            await engine.remove(name)
            raise
        return ContainerSandbox(self, engine, container, attached, fate)

    def host_config(self, limits: Limits, engine: Engine) -> dict[str, Any]:
        # A file a page, and two at the least: none would mean without bound.
        inodes = max(limits.tmp_bytes // PAGE_BYTES, 2)
        tmp = f"rw,noexec,nosuid,nodev,mode=1777,size={limits.tmp_bytes},nr_inodes={inodes}"
        mounts = {"/tmp": tmp}
        if self.runtime == GVISOR_RUNTIME:
            # It lets a process into /proc/<pid>/fd of any other of its user, whatever that one says.
            mounts["/proc"] = "ro,noexec,nosuid,nodev,mode=555,size=4096"
        return {
            "auto_remove": True,
            "network_mode": "none",
            "ipc_mode": "none",
            "read_only": True,
            "tmpfs": mounts,
            "mem_limit": limits.memory_bytes,
            "memswap_limit": limits.memory_bytes,
            "nano_cpus": nano_cpus(limits, engine),
            "pids_limit": self.processes(limits),
            "cap_drop": ["ALL"],
            # seccomp: the engine's own filter, which naming another would replace. The code's process adds ours.
            "security_opt": ["no-new-privileges:true"],
            "runtime": self.runtime,
            # What the sandbox writes is ours to keep, not the engine's log's.
            "log_config": {"type": "none"},
        }

    def processes(self, limits: Limits) -> int:
        # One more for the supervisor.
        return 2 * limits.processes + GVISOR_PROCESSES if self.runtime else limits.processes + 1

    def in_background(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class ContainerSandbox:
    """A started container, and the stream attached to it."""

    def __init__(
        self, backend: ContainerBackend, engine: Engine, container: str, attached: Attached, fate: Fate
    ) -> None:
        self.backend = backend
        self.level = backend.level
        self.confinement = backend.confinement
        self.engine = engine
        self.container = container
        self.attached = attached
        self.fate = fate
        self.receive = attached.receive
        self._given = False

    def alive(self) -> bool:
        return self.attached.open and not self.fate.died and not self.engine.lost

    async def confine(self, limits: Limits) -> None:
        """Other limits than it was made with. Raises BackendUnavailable when the engine does not set them."""
        await self.engine.update(
            self.container,
            Memory=limits.memory_bytes,
            MemorySwap=limits.memory_bytes,
            NanoCpus=nano_cpus(limits, self.engine),
            PidsLimit=self.backend.processes(limits),
        )

    async def send(self, data: bytes) -> None:
        if self._given or self.alive():
            self._given = True
            await self.attached.send(data)

    def oom_kills(self) -> int:
        return self.fate.oom_kills

    def peak_memory_bytes(self) -> int:
        return 0

    async def why_lost(self) -> Status:
        complaint = self.attached.complaint.decode(errors="replace").strip()
        if not self._given:
            raise BackendUnavailable(f"a container ended before it was used: {complaint or 'it said nothing'}")
        if complaint:
            log.warning("a supervisor went away, saying: %s", complaint)
        # The engine may tell that memory ran out after it closed the stream.
        await self.is_gone()
        return Status.OOM if self.fate.oom_kills else Status.KILLED

    async def end(self) -> None:
        """The engine removes it when its supervisor ends, which it does when nobody is attached."""
        self.attached.close()
        if not await self.is_gone():
            await self.engine.remove(self.container)

    async def is_gone(self) -> bool:
        """Wait until the engine has removed it; False if it has not for a long time, or nothing is heard of it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                await self.fate.gone.wait()
        return self.fate.gone.is_set() and not self.engine.lost


def system_call_filter() -> bytes:
    """What the namespace level refuses is refused here, too: the engine's filter lets some of it through."""
    try:
        return seccomp.program()
    except BackendUnavailable:
        # A machine that our tables do not know: the engine's filter stands alone.
        return b""


def confining(limits: Limits) -> tuple[int, float, int]:
    """What the engine must keep of them; the supervisor keeps the others."""
    return limits.memory_bytes, limits.cpus, limits.processes


def nano_cpus(limits: Limits, engine: Engine) -> int:
    return int(max(0.01, min(limits.cpus, float(engine.info["NCPU"]))) * 1e9)


async def be_ready(attached: Attached) -> None:
    """Wait for the interpreter inside: a started container is not yet one that answers at once."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            if await attached.ready():
                return
    complaint = attached.complaint.decode(errors="replace").strip()
    raise BackendUnavailable(f"the interpreter in a container does not start: {complaint or 'it says nothing'}")


async def end_when_started(starting: "asyncio.Task[ContainerSandbox]") -> None:
    with contextlib.suppress(BackendUnavailable):
        await (await starting).end()

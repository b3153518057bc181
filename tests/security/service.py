"""The sandbox service as an operator starts it, offering one level, and where it can be watched as a whole."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

import grpc
from google.protobuf import json_format

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_runtime.identity import service_identity
from autodev_runtime.json_value import JsonValue
from autodev_sandbox import rootfs
from autodev_sandbox.execution import IsolationLevel
from tests.conftest import require
from tests.security.processes import descendants, process_table
from tests.security.program import PROCESS, Limits

HERE: Final = Path(__file__).parent
HOST: Final = "127.0.0.1"
USER_ID: Final = 64123
"""Whom the process level runs as where the tests are root: code at that level may do whatever its user may."""
SECRET: Final = "AUTODEV_BATTERY_SECRET"
CONTROLLERS: Final = ("memory", "pids", "cpu")
ENCLOSURE_PROCESSES, ENCLOSURE_BYTES = 4000, 8 * 1024**3
START_S = 60.0
DEADLINE_S = 30.0
METADATA = service_identity("battery", "tenant").metadata()


def eventually(holds: Callable[[], object], what: Callable[[], str] | str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until it holds; fail at the deadline."""
    end_s = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() >= end_s:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"still not so after {deadline_s:g} s: {told}")
        time.sleep(0.02)


def as_user(level: IsolationLevel) -> list[str]:
    """What starts a command as the user that the service of a level runs as."""
    if level is not PROCESS or os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    require(setpriv, "setpriv is not installed, and hostile code must not run as root with resource limits alone")
    return [str(setpriv), f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--pdeathsig=TERM"]


def python_for(level: IsolationLevel) -> str:
    """An interpreter of this one's version that the service's user may run."""
    if not as_user(level) or all(folder.stat().st_mode & 0o001 for folder in rootfs.interpreter().parents):
        return sys.executable
    # This one is in somebody's home.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path="/usr/local/bin:/usr/bin")
    require(found, f"no {version} is installed that another user than root may run")
    return str(found)


def user_id(level: IsolationLevel) -> int:
    """Whose files and processes the service's are."""
    return USER_ID if as_user(level) else os.geteuid()


class Enclosure:
    """Control groups (version 1) that hold the service with all that it starts, so that its memory can be told."""

    def __init__(self) -> None:
        own: dict[str, str] = {}
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
        name = f"autodev-battery-{uuid4().hex[:8]}"
        mounts = {controller: Path("/sys/fs/cgroup", controller) for controller in CONTROLLERS}
        self.folders = {c: mount / own.get(c, "") / name for c, mount in mounts.items()}
        self.made = os.geteuid() == 0 and all(mount.is_dir() for mount in mounts.values())
        if self.made:
            for folder in self.folders.values():
                folder.mkdir()
            (self.folders["pids"] / "pids.max").write_text(str(ENCLOSURE_PROCESSES))
            (self.folders["memory"] / "memory.limit_in_bytes").write_text(str(ENCLOSURE_BYTES))

    def held_bytes(self) -> int:
        """The memory of all processes and temporary file systems in it; the page cache of real files is no matter."""
        if not self.made:
            return 0
        lines = (self.folders["memory"] / "memory.stat").read_text().splitlines()
        figures = {name: int(figure) for name, figure in (line.split() for line in lines)}
        return figures["total_rss"] + figures["total_shmem"]

    def groups(self) -> list[str]:
        """The groups within it."""
        if not self.made:
            return []
        return [str(path) for folder in self.folders.values() for path in folder.rglob("*") if path.is_dir()]

    def remove(self) -> None:
        """Remove it when all in it have ended; the kernel lets go of them a moment later."""
        eventually(self.removed, "nothing lives in the enclosure")

    def removed(self) -> bool:
        with contextlib.suppress(OSError):
            for folder in [*map(Path, sorted(self.groups(), reverse=True)), *self.folders.values()]:
                if folder.exists():
                    folder.rmdir()
            return True
        return False


class Facts:
    """What the machine offers to be attacked: servers, a secret file, a folder to be destroyed, and names.

    Programs get these as `host`. All that they can name, they name by `mark`.
    """

    def __init__(self, folder: Path, level: IsolationLevel) -> None:
        self.level = level
        self.folder = folder
        self.secret, self.victim = folder / "secret", folder / "victim"
        self.word = uuid4().hex
        self.secret.write_text(self.word)
        self.secret.chmod(0o600)
        self.victim.mkdir()
        (self.victim / "precious").write_text(self.word)
        self.mark = f"adb-{uuid4().hex[:10]}"
        self.servers = [
            socket.create_server((HOST, 0)),
            socket.create_server(("::1", 0), family=socket.AF_INET6),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        ]
        tcp, tcp6, self.udp, path, abstract = self.servers
        self.udp.bind((HOST, 0))
        path.bind(str(folder / "server"))
        (folder / "server").chmod(0o777)
        abstract.bind(f"\0{self.mark}-server")
        for server in self.servers:
            server.setblocking(False)
            if server is not self.udp:
                server.listen()
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.free_port = free.getsockname()[1]
        self.ports = {"tcp": tcp.getsockname()[1], "tcp6": tcp6.getsockname()[1], "udp": self.udp.getsockname()[1]}

    def told(self) -> dict[str, JsonValue]:
        """The facts, for a program."""
        return {
            "mark": self.mark,
            # A bomb must stop by itself where nothing else stops it.
            "bounded": self.level is PROCESS,
            **self.ports,
            "free_port": self.free_port,
            "unix": str(self.folder / "server"),
            "abstract": f"{self.mark}-server",
            "secret": str(self.secret),
            "victim": str(self.victim),
            "test": os.getpid(),
        }

    def visits(self) -> int:
        """How many connected, or sent something, since the last time."""
        count = 0
        for server in self.servers:
            with contextlib.suppress(BlockingIOError):
                while True:
                    if server is self.udp:
                        server.recv(1)
                    else:
                        server.accept()[0].close()
                    count += 1
        return count

    def close(self) -> None:
        for server in self.servers:
            server.close()


class Service:
    """`python -m autodev_sandbox` with one level, among whose descendants is whatever it starts."""

    def __init__(self, level: IsolationLevel, cache: Path) -> None:
        self.level = level
        self.cache = cache
        # Not pytest's own: other users may not enter that, and sandboxes run as others.
        self.folder = Path(tempfile.mkdtemp(prefix="autodev-battery-"))
        self.tmp = self.folder / "tmp"
        self.tmp.mkdir()
        self.folder.chmod(0o755)
        self.facts = Facts(self.folder, level)
        for each in (self.tmp, self.facts.secret, self.facts.victim, self.facts.victim / "precious"):
            os.chown(each, user_id(level), -1)
        self.python = python_for(level)
        self.enclosure = Enclosure()
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self.channel = grpc.insecure_channel(
            f"{HOST}:{self.port}", [("grpc.max_receive_message_length", 16 * 1024 * 1024)]
        )
        self.stub = SandboxServiceStub(self.channel)
        self.start()

    def start(self) -> None:
        prefix = "AUTODEV_SANDBOX_"
        settings = {
            "LEVELS": self.level.name,
            "ALLOW_PROCESS": str(int(self.level is PROCESS)),
            "PORT": str(self.port),
            "CACHE_DIR": str(self.cache),
            "SLOTS": "2",
        }
        groups = [str(folder) for folder in self.enclosure.folders.values()] if self.enclosure.made else []
        command = [*as_user(self.level), self.python, "-m", "autodev_sandbox"]
        with (self.folder / "log").open("wb") as log:
            self.launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(HERE / "launcher.py"), *groups, "--", *command],
                env={**os.environ, **{prefix + name: value for name, value in settings.items()}}
                | {
                    "TMPDIR": str(self.tmp),
                    SECRET: self.facts.word,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.launcher.stdout
        self.pid = int(self.launcher.stdout.readline())
        eventually(self.answers, lambda: f"the service answers\n{self.log()}", START_S)
        missing = {int(each.level): each.detail for each in self.status().levels if not each.available}
        require(self.level not in missing, f"{self.level.name} is not available here: {missing.get(self.level)}")

    def answers(self) -> bool:
        """Whether it serves, having tried its level."""
        try:
            return bool(self.execute("1").status)
        except grpc.RpcError as error:
            # Where it serves, and the level is not there.
            return isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.FAILED_PRECONDITION

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-5000:]

    def status(self) -> pb.GetSandboxStatusResponse:
        return self.stub.GetSandboxStatus(pb.GetSandboxStatusRequest(), metadata=METADATA, timeout=10)

    def pool(self) -> pb.PoolStatus:
        """The sandboxes of its level that it says it has."""
        return next(each.pool for each in self.status().levels if int(each.level) == self.level)

    def execute(
        self,
        code: str,
        inputs: dict[str, JsonValue] | None = None,
        limits: Limits | None = None,
        output_files: Sequence[str] = (),
    ) -> pb.ExecuteResponse:
        """Run a module, or with inputs its function `f`, at the service's level."""
        limits = limits or Limits()
        request = pb.ExecuteRequest(
            code=code,
            min_isolation=int(self.level),  # type: ignore[arg-type]
            output_files=output_files,
        )
        if inputs is not None:
            request.entry_point = "f"
            json_format.ParseDict(inputs, request.inputs)
        request.limits.timeout.FromMilliseconds(int(limits.timeout_s * 1000))
        request.limits.memory_bytes = limits.memory_bytes
        request.limits.cpus = limits.cpus
        request.limits.output_bytes = limits.output_bytes
        request.limits.processes = limits.processes
        return self.stub.Execute(request, metadata=METADATA, timeout=60)

    def host_facts(self) -> dict[str, JsonValue]:
        """What a program is told."""
        return {**self.facts.told(), "service": self.pid, "service_port": self.port}

    def outside(self, code: str) -> JsonValue:
        """What `f(host)` of a module gives to the service's user outside any sandbox."""
        runner = "import json, sys\nhost = json.load(sys.stdin)\n" + code + "\nprint(json.dumps(f(host)))"
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            os.chown(folder, user_id(self.level), -1)
            done = subprocess.run(
                [*as_user(self.level), self.python, "-I", "-S", "-c", runner],
                input=json.dumps(self.host_facts()).encode(),
                stdout=subprocess.PIPE,
                cwd=folder,
                env={},
                check=True,
            )
        value: JsonValue = json.loads(done.stdout)
        return value

    def as_its_user(self, code: str, told: JsonValue) -> None:
        """Run a program as the service's user, who may undo what that user did."""
        command = [*as_user(self.level), self.python, "-I", "-S", "-c", code]
        subprocess.run(command, input=json.dumps(told).encode(), check=True)

    def stop(self) -> None:
        """End it as an operator does, and wait until all that came of it has ended."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it so that it can finish nothing."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether the service and every descendant have ended."""
        return self.launcher.poll() is not None

    def discard(self) -> None:
        """Remove what this harness made."""
        self.channel.close()
        self.facts.close()
        for process in descendants(self.launcher.pid, process_table()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.launcher.kill()
        self.launcher.wait()
        if self.launcher.stdout:
            self.launcher.stdout.close()
        self.enclosure.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def serving(level: IsolationLevel, cache: Path) -> Iterator[Service]:
    """A service of a level; whatever becomes of it, nothing of this harness stays."""
    service = Service(level, cache)
    try:
        yield service
    finally:
        service.kill()
        service.discard()

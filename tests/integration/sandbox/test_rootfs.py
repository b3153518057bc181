"""The root directory that every sandbox sees, and the image made of it."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autodev_sandbox import rootfs
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.execution import BackendUnavailable, Execution
from autodev_sandbox.running import run_on
from tests.integration.sandbox.conftest import ready


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    with ThreadPoolExecutor(2) as pool:
        made = set(pool.map(rootfs.ensure_root, [cache, cache]))
    assert len(made) == 1
    # What two makers at once began and did not need is gone.
    assert {path.name for path in cache.iterdir()} == {path.name for path in made}
    return made.pop()


def test_it_holds_python_and_no_other_program(root: Path) -> None:
    programs = [path.name for path in (root / "usr/bin").iterdir()]
    assert programs == ["python3"]
    assert not list(root.glob("**/site-packages"))


def test_others_can_read_it_and_nobody_else_write_it(root: Path) -> None:
    for path in root.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o022 == 0, path
            assert path.stat().st_mode & 0o044, path


def test_every_module_has_its_byte_code(root: Path) -> None:
    modules = list((root / "usr/lib").glob("python*/*.py"))
    assert len(modules) > 100
    tag = sys.implementation.cache_tag
    assert [path for path in modules if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()] == []


def test_a_root_that_is_there_is_taken_as_it_is(root: Path) -> None:
    before = root.stat().st_ctime_ns
    assert rootfs.ensure_root(root.parent) == root
    assert root.stat().st_ctime_ns == before


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendUnavailable, match="root directory cannot be made"):
        rootfs.ensure_root(tmp_path / "file" / "cache")


async def test_the_standard_library_works_in_a_sandbox() -> None:
    backend = await ready("namespace")
    assert isinstance(backend, NamespaceBackend)
    names = sorted(
        {"asyncio", "csv", "ctypes", "datetime", "decimal", "hashlib", "json", "re", "sqlite3", "ssl", "zlib"}
    )
    code = "import importlib\ndef f(names): return [importlib.import_module(name).__name__ for name in names]"
    outcome = await run_on(backend, Execution(code, "f", {"names": [*names]}))
    assert outcome.value == names


def test_the_image_is_built_by_one_command() -> None:
    asyncio.run(ready("container"))
    done = subprocess.run([sys.executable, "-m", "autodev_sandbox.image"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"autodev-sandbox:{rootfs.fingerprint()}"


def test_without_an_engine_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    done = subprocess.run([sys.executable, "-m", "autodev_sandbox.image"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The image cannot be built: ")
    assert "Traceback" not in done.stderr

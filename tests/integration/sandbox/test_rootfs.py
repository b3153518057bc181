"""The root directory that every sandbox sees."""

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
    # The second found what the first made.
    assert sorted(path.name.partition("-")[0] for path in cache.iterdir()) == ["lock", "made", "root"]
    return made.pop()


def test_it_holds_python_and_no_other_program(root: Path) -> None:
    programs = [path.name for path in (root / "usr/bin").iterdir()]
    assert programs == ["python3"]
    assert not list(root.glob("**/site-packages"))


def test_others_can_read_it_and_nobody_else_write_it(root: Path) -> None:
    modes = {path: path.stat().st_mode for path in root.rglob("*") if not path.is_symlink()}
    assert len(modes) > 100
    assert [path for path, mode in modes.items() if mode & 0o022 or not mode & 0o044] == []


def test_every_module_has_its_byte_code(root: Path) -> None:
    modules = list((root / "usr/lib").glob("python*/*.py"))
    assert len(modules) > 100
    tag = sys.implementation.cache_tag
    assert [path for path in modules if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()] == []


def test_a_root_that_is_there_is_taken_as_it_is(root: Path) -> None:
    before = root.stat().st_ctime_ns
    assert rootfs.ensure_root(root.parent) == root
    assert root.stat().st_ctime_ns == before


def test_the_same_content_has_the_same_name_wherever_and_whenever_it_is_made(root: Path, tmp_path: Path) -> None:
    again = rootfs.ensure_root(tmp_path)
    assert again.name == root.name
    (again / "usr/lib/libm.so.6").touch()
    assert rootfs.digest(again) == rootfs.digest_of(root)


@pytest.mark.parametrize("change", ["content", "mode", "name", "link"])
def test_other_content_has_another_name(tmp_path: Path, change: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    before = rootfs.digest(tmp_path)
    match change:
        case "content":
            (tmp_path / "file").write_text("y")
        case "mode":
            (tmp_path / "file").chmod(0o600)
        case "name":
            (tmp_path / "file").rename(tmp_path / "other")
        case "link":
            (tmp_path / "link").unlink()
            (tmp_path / "link").symlink_to("other")
    assert rootfs.digest(tmp_path) != before


def test_what_a_killed_maker_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "making-left").mkdir()
    rootfs.ensure_root(tmp_path)
    assert not (tmp_path / "making-left").exists()


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

"""Packages that the operator names are there for the code, the same at both strong levels."""

import shutil
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import docker
import pytest
import pytest_asyncio

from autodev_sandbox import rootfs
from autodev_sandbox.backends import Backend
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.execution import BackendUnavailable, Execution, Status
from autodev_sandbox.image import REPOSITORY
from autodev_sandbox.running import run_on
from tests.conftest import require

MAKERS: dict[str, Callable[[Path, tuple[str, ...]], Backend]] = {
    "container": lambda cache, pins: ContainerBackend(cache, packages=pins, floor=1, ceiling=2),
    "namespace": lambda cache, pins: NamespaceBackend(cache, packages=pins, floor=1, ceiling=2),
}
USES = """
import json, sys
from good import VALUE
from good.native import bisect_left
def f(): return [VALUE, bisect_left([1, 2, 3], 2), json.__file__, sys.modules['good'].__file__]
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A cache that the sandbox's user can enter, beside a folder of wheels."""
    folder = Path(tempfile.mkdtemp(prefix="ad-packages-"))
    folder.chmod(0o755)
    (folder / "index").mkdir()
    with ZipFile(folder / "index/good-1.5-py3-none-any.whl", "w") as packed:
        packed.writestr("good/__init__.py", "VALUE = 5\n")
        # It does not come before the standard library's.
        packed.writestr("json.py", "raise ImportError('the wrong one')\n")
        # A module of machine code, as a package would bring one.
        extension = next(Path(sysconfig.get_config_var("DESTSHARED")).glob("_bisect.*.so"))
        packed.write(extension, f"good/{extension.name}")
        packed.writestr("good/native.py", "from good._bisect import bisect_left\n")
        packed.writestr("good-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: good\nVersion: 1.5\n")
        packed.writestr("good-1.5.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr("good-1.5.dist-info/RECORD", "")
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(loop_scope="session", params=MAKERS)
async def backend(
    request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Backend]:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place / "index"))
    made = MAKERS[request.param](place / "cache", ("good==1.5",))
    try:
        await made.probe()
    except BackendUnavailable as error:
        require(False, f"the {request.param} backend is not available: {error}")
    yield made
    await made.close()
    if isinstance(made, ContainerBackend):
        docker.from_env().images.remove(made.image, force=True)


async def test_code_imports_them(backend: Backend) -> None:
    outcome = await run_on(backend, Execution(USES, "f"))
    assert outcome.status is Status.OK, outcome
    version = sysconfig.get_python_version()
    assert outcome.value == [
        5,
        1,
        f"/usr/lib/python{version}/json/__init__.py",
        f"/usr/lib/python{version}/site-packages/good/__init__.py",
    ]


async def test_the_image_is_the_same_content_as_the_root(backend: Backend, place: Path) -> None:
    root = rootfs.ensure_root(place / "cache", ("good==1.5",))
    assert rootfs.digest_of(root) != rootfs.digest_of(rootfs.ensure_root(rootfs.default_cache()))
    if isinstance(backend, ContainerBackend):
        assert backend.image == f"{REPOSITORY}:{rootfs.digest(root)}"


@pytest.mark.parametrize("name", MAKERS)
async def test_what_cannot_be_had_makes_the_level_unavailable_and_says_so(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place / "index"))
    made = MAKERS[name](place / "cache", ("good==2.0",))
    with pytest.raises(BackendUnavailable, match=r"AUTODEV_SANDBOX_PACKAGES cannot be installed: .*good==2\.0"):
        await made.probe()
    await made.close()

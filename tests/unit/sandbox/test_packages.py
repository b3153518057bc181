"""Packages are pinned, come as wheels, and are told plainly when they cannot be had."""

import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from autodev_sandbox import packages
from autodev_sandbox.packages import PackagesUnavailable


def wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    """A wheel of one module, which counts its imports, and a program."""
    notes = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        packed.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        packed.writestr(f"{notes}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        packed.writestr(
            f"{notes}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        packed.writestr(f"{notes}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        packed.writestr(f"{notes}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels instead of a registry."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.parametrize("text", ["b==1.0 a_1==2", "a_1==2, b==1.0", "\n a_1==2\n b==1.0 \n", ["b==1.0", "a_1==2"]])
def test_packages_are_named_with_blanks_or_commas_between(text: object) -> None:
    assert packages.parse(text) == ("a_1==2", "b==1.0")


def test_no_package_is_the_default() -> None:
    assert packages.parse("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "numpy",
        "numpy>=2",
        "numpy==2.*",
        "numpy===2",
        "numpy[extra]==2",
        "--index-url=http://elsewhere",
        "-r==1",
        "numpy@file:///x",
        "./a.whl",
        "numpy==2;python_version>'3'",
    ],
)
def test_anything_but_an_exact_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="exact version"):
        packages.parse(text)


def test_two_versions_of_one_are_refused() -> None:
    with pytest.raises(ValueError, match="a-b: named with two versions"):
        packages.parse("a-b==1 A_b==2")


def test_modules_are_installed_and_no_program(index: Path, tmp_path: Path) -> None:
    wheel(index, "good", "1.5")
    target = tmp_path / "site"
    packages.install(("good==1.5",), target)
    assert (target / "good.py").read_text() == "VERSION = '1.5'\n"
    assert sorted(path.name for path in target.iterdir()) == ["good-1.5.dist-info", "good.py"]
    assert sys.executable not in "".join(path.read_text() for path in target.rglob("*") if path.is_file())


def test_a_dependency_must_be_pinned_too(index: Path, tmp_path: Path) -> None:
    wheel(index, "top", "1", needs="below>=1")
    wheel(index, "below", "1.7")
    with pytest.raises(PackagesUnavailable, match=r"AUTODEV_SANDBOX_PACKAGES must name .* Add: below==1\.7$"):
        packages.install(("top==1",), tmp_path / "site")
    packages.install(("Below==1.7", "top==1"), tmp_path / "other")


def test_a_version_that_is_not_there_is_told(index: Path, tmp_path: Path) -> None:
    wheel(index, "good", "1.5")
    with pytest.raises(PackagesUnavailable, match=r"No matching distribution found for good==2\.0"):
        packages.install(("good==2.0",), tmp_path / "site")


def test_what_would_have_to_be_built_is_refused(index: Path, tmp_path: Path) -> None:
    (index / "source-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(PackagesUnavailable, match="No matching distribution"):
        packages.install(("source==1.0",), tmp_path / "site")

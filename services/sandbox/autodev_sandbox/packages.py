"""Python packages for the code, beside the standard library: pinned, from wheels, installed when the root is made."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SETTING: Final = "AUTODEV_SANDBOX_PACKAGES"
# Nothing else: an option, an address or a marker would make the root depend on more than its settings.
PIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*")
INSTALL_TIMEOUT_S: Final = 900
# How it was installed, and where: this must not make the same package another one.
INSTALLERS_NOTES: Final = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


class PackagesUnavailable(Exception):
    """What was asked for cannot be installed. The message names the setting."""


def parse(text: object) -> tuple[str, ...]:
    """The packages that a setting names, `name==version` each, between blanks or commas. Raises ValueError."""
    words = re.split(r"[\s,]+", text) if isinstance(text, str) else list(text) if isinstance(text, Iterable) else []
    pins = sorted({str(word) for word in words if word})
    for pin in pins:
        if not PIN.fullmatch(pin):
            raise ValueError(f"{pin!r} is not a package with its exact version, as in numpy==2.1.3")
    names = [name_of(pin) for pin in pins]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: named with two versions")
    return tuple(pins)


def name_of(pin: str) -> str:
    return normal(pin.partition("==")[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def install(pins: tuple[str, ...], target: Path) -> None:
    """Unpack the wheels into a directory; nothing of them is run. Raises PackagesUnavailable."""
    try:
        done = subprocess.run(
            [*installer(), "--only-binary", ":all:", "--target", str(target), *pins],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackagesUnavailable(f"{SETTING} cannot be installed: {error}") from error
    if done.returncode != 0:
        raise PackagesUnavailable(f"{SETTING} cannot be installed: {complaint(done.stderr)}")
    refuse_unpinned(pins, target)
    keep_modules_alone(target)


def installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise PackagesUnavailable(f"{SETTING} needs pip or uv, and neither is here. Try: {sys.executable} -m ensurepip")


def complaint(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " ".join(errors or lines[-3:])[:1000] or "the installer gives no reason"


def refuse_unpinned(pins: tuple[str, ...], target: Path) -> None:
    """A dependency that nobody pinned would be another one tomorrow."""
    named = {name_of(pin) for pin in pins}
    found = importlib.metadata.distributions(path=[str(target)])
    missing = sorted(f"{each.name}=={each.version}" for each in found if normal(each.name) not in named)
    if missing:
        raise PackagesUnavailable(f"{SETTING} must name what its packages need, too. Add: {' '.join(missing)}")


def keep_modules_alone(target: Path) -> None:
    """No program, and no word of where and how it was installed."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for note in INSTALLERS_NOTES:
        for path in target.glob(f"*.dist-info/{note}"):
            path.unlink()
    for path in target.rglob("*"):
        if path.is_file():
            path.chmod(0o644)

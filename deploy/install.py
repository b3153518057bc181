"""Installs what the images hold, for deploy/Dockerfile: `python3 deploy/install.py OUT`, from the repository's root.

`OUT/common` gets what every service is made of, `OUT/<part>` what one service or the command line has beside it, so
that an image has the code and the dependencies of its own service and no other's. All is pinned by requirements.lock.

Packages come from the registry that pip and uv are set up for, or, where there is a folder `wheels`, from there alone.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOCK = Path("requirements.lock")
WHEELS = Path("wheels")
COMMON = ("libs/contracts", "libs/sdk", "libs/runtime")
PARTS = {
    "gateway": ("services/gateway",),
    "capability": ("services/capability",),
    "learning": ("services/learning",),
    "fitness": ("services/fitness",),
    "sandbox": ("services/sandbox",),
    # Migrations are each service's own.
    "cli": ("libs/cli", "services/gateway", "services/capability", "services/learning", "services/fitness"),
}
STUB_TOOLS = ("grpcio-tools", "mypy-protobuf")


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python3 deploy/install.py OUT")
    out = Path(arguments[0]).resolve()
    uv = installer(out / "uv")
    build_stubs(uv, out / "tools")
    common = out / "common"
    install(uv, common, COMMON)
    compile_all(common)
    for part, members in PARTS.items():
        install(uv, out / part, (*COMMON, *members))
        leave_out_common(out / part, common)
        compile_all(out / part)


def installer(folder: Path) -> Path:
    """uv, of the version that the lock names, by whatever pip the base has."""
    found = re.search(r"^uv==\S+", LOCK.read_text(), re.MULTILINE)
    assert found
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(folder), found[0]])
    return folder / "bin/uv"


def build_stubs(uv: Path, tools: Path) -> None:
    """The Python stubs, from protos/, by tools that no image holds."""
    run([str(uv), "venv", "--quiet", "--python", sys.executable, str(tools)])
    python = str(tools / "bin/python")
    run([str(uv), "pip", "install", "--quiet", "--python", python, "--constraint", str(LOCK), *STUB_TOOLS])
    run([python, "libs/contracts/build_stubs.py"])


def install(uv: Path, target: Path, members: Sequence[str]) -> None:
    """The members and all that they need, in a folder."""
    pins = ["--constraint", str(LOCK), "--build-constraint", str(LOCK)]
    run([str(uv), "pip", "install", "--quiet", "--no-sources", *pins, "--target", str(target), *members])
    for unneeded in (target / "bin", target / ".lock"):
        shutil.rmtree(unneeded, ignore_errors=True) if unneeded.is_dir() else unneeded.unlink(missing_ok=True)


def leave_out_common(folder: Path, common: Path) -> None:
    """Keep only the files that `common` does not have."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif (common / path.relative_to(folder)).exists():
            path.unlink()


def compile_all(folder: Path) -> None:
    """Byte code for every module: nothing can be written once an image runs."""
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # Some packages carry modules for another version of Python; those stay without.
    subprocess.run([*command, str(folder)], stdout=subprocess.DEVNULL, check=False)


def run(command: Sequence[str], **environment: str) -> None:
    """Raises CalledProcessError; what the command says goes to our own output."""
    if WHEELS.is_dir():
        wheels = str(WHEELS.resolve())
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "UV_NO_INDEX": "1", "UV_FIND_LINKS": wheels}
        environment["UV_OFFLINE"] = "1"
    subprocess.run(command, env={**os.environ, **environment}, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])

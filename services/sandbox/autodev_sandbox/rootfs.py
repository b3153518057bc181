"""The sandbox's root directory: this interpreter, its standard library, the shared libraries both need, no more.

No shell, no package manager, no third-party package. The namespace backend mounts it and the container backend's image
holds it, so code finds the same files on every level.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autodev_sandbox import inside
from autodev_sandbox.execution import BackendUnavailable

FORMAT = "2"  # Of the layout below and of the image: another makes another.
INSIDE_PACKAGE = "autodev_inside"
PYTHON = "/usr/bin/python3"
# `-I` would also ignore PYTHONHASHSEED, by which the same code gives the same answer twice. No other variable is there.
OPTIONS = ("-P", "-s", "-S", "-X", "utf8")
COMMAND = (PYTHON, *OPTIONS, "-c", f"from {INSIDE_PACKAGE}.supervisor import main; main()")
# Where the code shares /proc with the supervisor.
HIDDEN_COMMAND = (PYTHON, *OPTIONS, "-c", f"from {INSIDE_PACKAGE}.supervisor import hide, main; hide(); main()")
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
USER_ID = 65534

DEVICES = ("null", "zero", "full", "random", "urandom")
LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
}
LEFT_OUT_PREFIXES = ("config-", "_tkinter", "_test", "_ctypes_test", "xxlimited")


def default_cache() -> Path:
    """Where roots are kept unless told otherwise. Not in root's home, which the sandbox's user cannot enter."""
    if os.geteuid() == 0:
        return Path("/var/cache/autodev")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "autodev")


def ensure_root(cache: Path) -> Path:
    """The root directory in the cache, made there if it is missing. Raises BackendUnavailable.

    Making it takes from a second to ten, for how many modules come without their byte code.
    """
    root = cache / f"root-{fingerprint()}"
    if root.is_dir():
        return root
    try:
        cache.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
        try:
            assemble(making)
            making.chmod(0o755)
            rename_into_place(making, root)
        finally:
            remove_tree(making)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BackendUnavailable(f"the sandbox's root directory cannot be made in {cache}: {error}") from error
    return root


def rename_into_place(making: Path, root: Path) -> None:
    try:
        making.rename(root)
    except OSError:
        # Another process was faster; its root is as good.
        if not root.is_dir():
            raise


def remove_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def fingerprint() -> str:
    """Names the root by what it is made of: format, interpreter, and every file's path, size and time."""
    digest = hashlib.sha256(f"{FORMAT} {sys.version} {interpreter()}".encode())
    for path in (interpreter(), *sorted(library_files()), *sorted(inside_files())):
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def interpreter() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def library() -> Path:
    return Path(sysconfig.get_path("stdlib")).resolve()


def library_files() -> Iterator[Path]:
    top = library()
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in LEFT_OUT and not name.startswith(LEFT_OUT_PREFIXES)]
        for name in files:
            path = Path(folder, name)
            if not name.startswith(LEFT_OUT_PREFIXES) and not name.endswith((".a", ".opt-1.pyc", ".opt-2.pyc")):
                yield path


def inside_files() -> list[Path]:
    return list(Path(inside.__path__[0]).glob("*.py"))


def assemble(root: Path) -> None:
    """Fill an empty directory."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    libraries = root / "usr/lib"
    for folder in ("usr/bin", f"usr/lib/{version}/{INSIDE_PACKAGE}", "dev", "tmp", "etc", "proc", "sys"):
        (root / folder).mkdir(parents=True)
    # Wherever a loader looks first, it finds the one directory.
    for link in ("lib", "lib64", "usr/lib64", f"usr/lib/{sysconfig.get_config_var('MULTIARCH') or 'multiarch'}"):
        (root / link).symlink_to("/usr/lib")
    for device in DEVICES:
        (root / "dev" / device).touch()
    (root / "etc/passwd").write_text(f"nobody:x:{USER_ID}:{USER_ID}:nobody:/tmp:/\n")
    shutil.copy2(interpreter(), root / PYTHON.removeprefix("/"))
    extensions = list(copy_library(libraries / version))
    copy_zones(root)
    for source in inside_files():
        shutil.copy2(source, libraries / version / INSIDE_PACKAGE)
    for source in shared_libraries([interpreter(), *extensions]):
        if not (libraries / source.name).exists():
            shutil.copy2(source, libraries / source.name)
    compile_library(root, libraries / version)
    make_readable(root)


def copy_library(target: Path) -> Iterator[Path]:
    """Copy the standard library; yields its extension modules."""
    top = library()
    for source in library_files():
        place = target / source.relative_to(top)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place)
        if source.suffix == ".so":
            yield source
    # Where a distribution keeps the extension modules elsewhere.
    if not any((target / "lib-dynload").glob("*.so")):
        yield from copy_extensions(target / "lib-dynload")


def copy_extensions(target: Path) -> Iterator[Path]:
    target.mkdir(exist_ok=True)
    for source in Path(sysconfig.get_config_var("DESTSHARED") or "/nonexistent").glob("*.so"):
        if not source.name.startswith(LEFT_OUT_PREFIXES):
            shutil.copy2(source, target / source.name)
            yield source


def copy_zones(root: Path) -> None:
    """Time zones, where this machine has them: `zoneinfo` reads them from here."""
    zones = Path("/usr/share/zoneinfo")
    if zones.is_dir():
        shutil.copytree(
            zones, root / "usr/share/zoneinfo", ignore=shutil.ignore_patterns("posix", "right"), symlinks=True
        )


def shared_libraries(binaries: list[Path]) -> set[Path]:
    """Every shared library that the binaries load, the loader included, as `ldd` tells."""
    told = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    found = set()
    for line in told.splitlines():
        # "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)" or "/lib64/ld-linux-x86-64.so.2 (0x...)"; not "file:".
        words = line.split()
        path = words[2] if "=>" in words and len(words) > 2 else words[0] if words else ""
        if path.startswith("/") and not path.endswith(":"):
            found.add(Path(path))
    if not found:
        raise OSError("ldd names no shared library of the interpreter")
    return found


def compile_library(root: Path, folder: Path) -> None:
    """Compile what came without its byte code: nothing can be written once it runs."""
    # By a process of its own: compileall's workers would be forks of a service full of threads.
    options = ("-q", "-q", "-j", "0", "-s", str(root), "-p", "/")
    command = [str(interpreter()), "-I", "-S", "-m", "compileall", *options, str(folder)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def make_readable(root: Path) -> None:
    """Let any user read it: the sandbox's is none of this machine's. And nobody write it."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)

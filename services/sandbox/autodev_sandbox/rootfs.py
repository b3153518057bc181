"""The sandbox's root directory: this interpreter, its standard library, the shared libraries both need, no more.

No shell, no package manager, no third-party package but those that the operator names. The namespace backend mounts it
and the container backend's image holds it, so code finds the same files on every level.

`python -m autodev_sandbox.rootfs DIRECTORY` fills a directory for an image (see deploy/sandbox.Dockerfile).
"""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autodev_sandbox import inside, packages
from autodev_sandbox.execution import BackendUnavailable

FORMAT = "3"  # Of the layout below and of the image: another makes another.
INSIDE_PACKAGE = "autodev_inside"
PYTHON = "/usr/bin/python3"
# `-I` would also ignore PYTHONHASHSEED, by which the same code gives the same answer twice. No other variable is there.
OPTIONS = ("-P", "-s", "-S", "-X", "utf8")
# Where packages are: after the standard library, so that none can take a name of it.
SETUP = "import sys; sys.path.append('/usr/lib/python%d.%d/site-packages' % sys.version_info[:2]); "
# Where the code shares /proc with the supervisor, and the host does not see when that is ready.
HIDDEN_COMMAND = (
    PYTHON,
    *OPTIONS,
    "-c",
    f"{SETUP}from {INSIDE_PACKAGE} import kernel, supervisor; kernel.hide(); supervisor.main(supervisor.tell_ready)",
)
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
USER_ID = 65534

ZONES = Path("/usr/share/zoneinfo")
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
    "__pycache__",
}
LEFT_OUT_PREFIXES = ("config-", "_tkinter", "_test", "_ctypes_test", "xxlimited")


COMPILERS = 4
# Modules that are no Python of this version stay without byte code: some packages carry such.
COMPILE = """
import py_compile, sys, warnings
warnings.simplefilter("ignore")
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for path in sys.stdin.read().splitlines():
    py_compile.compile(path, dfile=path.removeprefix(sys.argv[1]), invalidation_mode=mode, quiet=2)
"""


def default_cache() -> Path:
    """Where roots are kept unless told otherwise. Not in root's home, which the sandbox's user cannot enter."""
    if os.geteuid() == 0:
        return Path("/var/cache/autodev")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "autodev")


def ensure_root(cache: Path, pins: tuple[str, ...] = ()) -> Path:
    """The root directory in the cache, with these packages, made there if it is missing. Raises BackendUnavailable.

    Its name ends in a digest of what is in it. Making it takes some seconds.
    """
    made = cache / f"made-{fingerprint(pins)}"
    if not made.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with making_alone(cache):
                if not made.is_dir():
                    make_root(cache, made, pins)
        except packages.PackagesUnavailable as error:
            raise BackendUnavailable(str(error)) from error
        except (OSError, subprocess.CalledProcessError) as error:
            raise BackendUnavailable(f"the sandbox's root directory cannot be made in {cache}: {error}") from error
    return cache / made.readlink()


def digest_of(root: Path) -> str:
    """The digest in a root's name, as `ensure_root` gives it: the same for the same content, wherever it was made."""
    return root.name.removeprefix("root-")


@contextmanager
def making_alone(cache: Path) -> Iterator[None]:
    """Let one process make a root at a time: the next finds it made."""
    with open(cache / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_root(cache: Path, made: Path, pins: tuple[str, ...]) -> None:
    for abandoned in cache.glob("making-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        root = making / "root"
        root.mkdir()
        assemble(root, pins)
        place = cache / f"root-{digest(root)}"
        if not place.is_dir():
            root.rename(place)
        (making / "made").symlink_to(place.name)
        (making / "made").rename(made)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def digest(root: Path) -> str:
    """Of every path, its mode, and what it holds; not of its times."""
    total = hashlib.sha256(FORMAT.encode())
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = os.readlink(path)
        elif stat.S_ISREG(mode):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            content = ""
        total.update(repr((path.relative_to(root).as_posix(), mode, content)).encode())
    return total.hexdigest()[:16]


def fingerprint(pins: tuple[str, ...] = ()) -> str:
    """Names what the root is made of, without reading it: every file's path, size and time, and the packages."""
    digest = hashlib.sha256(f"{FORMAT} {sys.version} {interpreter()} {pins}".encode())
    # The loader's cache is written anew when a shared library is.
    others = [path for path in (Path("/etc/ld.so.cache"), ZONES) if path.exists()]
    for path in (interpreter(), *others, *sorted(library_files()), *sorted(inside_files())):
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
            if not name.startswith(LEFT_OUT_PREFIXES) and not name.endswith((".a", ".pyc")):
                yield path


def inside_files() -> list[Path]:
    return list(Path(inside.__path__[0]).glob("*.py"))


def assemble(root: Path, pins: tuple[str, ...] = ()) -> None:
    """Fill an empty directory. Raises PackagesUnavailable."""
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
    if pins:
        site = libraries / version / "site-packages"
        packages.install(pins, site)
        extensions += site.rglob("*.so*")
    for source in shared_libraries([interpreter(), *extensions]):
        # A package's own are found beside it.
        if not source.is_relative_to(root) and not (libraries / source.name).exists():
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
    if ZONES.is_dir():
        ignored = shutil.ignore_patterns("posix", "right")
        shutil.copytree(ZONES, root / ZONES.relative_to("/"), ignore=ignored, symlinks=True)


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
    """Compile every module: nothing can be written once it runs.

    Byte code depends on what its process has compiled before and on hashes of strings. With the same share of the
    modules for each process and hashes that are always the same, the same modules make the same byte code.
    """
    modules = sorted(str(path) for path in folder.rglob("*.py"))
    # By processes of their own: compileall's workers would be forks of a service full of threads.
    command = [str(interpreter()), "-P", "-s", "-S", "-X", "utf8", "-c", COMPILE, str(root)]
    compilers = []
    for share in range(COMPILERS):
        compiler = subprocess.Popen(command, stdin=subprocess.PIPE, env=ENVIRONMENT, text=True)
        assert compiler.stdin
        compiler.stdin.write("\n".join(modules[share::COMPILERS]))
        compiler.stdin.close()
        compilers.append(compiler)
    failed = [compiler for compiler in compilers if compiler.wait() != 0]
    if failed:
        raise OSError("the modules cannot be compiled")


def make_readable(root: Path) -> None:
    """Let any user read it: the sandbox's is none of this machine's. And nobody write it."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m autodev_sandbox.rootfs DIRECTORY")
    root = Path(arguments[0])
    try:
        root.mkdir()
        assemble(root, packages.parse(os.environ.get(packages.SETTING, "")))
    except (OSError, ValueError, packages.PackagesUnavailable, subprocess.CalledProcessError) as error:
        sys.exit(f"The root cannot be made: {error}")
    # As `image.owned_by_root` has it.
    (root / "tmp").chmod(0o1777)
    print(digest(root))


if __name__ == "__main__":
    main(sys.argv[1:])

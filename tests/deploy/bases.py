"""Images that a registry would give, assembled from what this machine has: Python, PostgreSQL, NATS."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from autodev_sandbox import rootfs
from autodev_sandbox.image import owned_by_root

SHELL = ("bash", "cat", "chmod", "chown", "cp", "env", "id", "install", "ls", "mkdir", "mv", "rm", "sleep", "touch")
# What wheels take for granted (PEP 599).
WHEELS_LIBRARIES = ("libgcc_s.so.1", "libstdc++.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1")
POSTGRES_ID = 999
USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"


def copy_programs(root: Path, programs: Iterable[Path], folder: str = "usr/bin") -> None:
    """Programs with the shared libraries that they need."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "usr/lib").mkdir(parents=True, exist_ok=True)
    binaries = []
    for program in programs:
        shutil.copy2(program, root / folder / program.name)
        if program.read_bytes()[:4] == b"\x7fELF":
            binaries.append(program)
    copy_libraries(root, binaries)


def copy_libraries(root: Path, binaries: list[Path]) -> None:
    libraries = {path for path in binaries if ".so" in path.name}
    for library in rootfs.shared_libraries(binaries) | libraries:
        if not (root / "usr/lib" / library.name).exists():
            shutil.copy2(library, root / "usr/lib" / library.name)


def library_named(name: str) -> Path:
    place = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH"), name)
    assert place.exists(), f"{place} is missing"
    return place


def found(name: str) -> Path:
    path = shutil.which(name)
    assert path, f"{name} is not installed"
    return Path(path).resolve()


def pack_python(target: IO[bytes]) -> None:
    """The files of an image with Python."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=target, mode="w") as tar:
        root = Path(folder, "root")
        root.mkdir()
        python_root(root)
        tar.add(root, arcname=".", filter=owned_by_root)


def python_root(root: Path) -> None:
    """As python:3.11-slim is: Python with pip, and a shell; and bubblewrap, which that would install."""
    rootfs.assemble(root)
    (root / "bin").symlink_to("usr/bin")
    (root / "sbin").symlink_to("usr/bin")
    copy_programs(root, [found(name) for name in (*SHELL, "bwrap", "ldd")])
    copy_libraries(root, [library_named(name) for name in WHEELS_LIBRARIES])
    (root / "usr/bin/sh").symlink_to("bash")
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text("root:x:0:\n")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pip = "import pip, pathlib; print(pathlib.Path(pip.__file__).parent)"
    installed = subprocess.run([rootfs.interpreter(), "-c", pip], capture_output=True, text=True, check=True)
    site = root / "usr/lib" / version / "site-packages"
    pip_folder = Path(installed.stdout.strip())
    for source in (pip_folder, *pip_folder.parent.glob("pip-*.dist-info")):
        shutil.copytree(source, site / source.name, ignore=shutil.ignore_patterns("__pycache__"))


POSTGRES_ENTRY = """#!/bin/sh
# What the official image's does: makes the data directory at the first start, runs the scripts given, then serves.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --locale=C --encoding=UTF8 \\
    --auth-local=trust --auth-host=scram-sha-256
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses=''" --wait start
  for script in /docker-entrypoint-initdb.d/*.sh; do sh "$script"; done
  pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
fi
exec postgres
"""


def pack_postgres(target: IO[bytes], binaries: Path) -> None:
    """The files of an image with PostgreSQL."""

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member = owned_by_root(member)
        if member.name.startswith("./var/lib/postgresql"):
            member.uid = member.gid = POSTGRES_ID
        return member

    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=target, mode="w") as tar:
        root = Path(folder, "root")
        root.mkdir()
        postgres_root(root, binaries)
        tar.add(root, arcname=".", filter=owned)


def postgres_root(root: Path, binaries: Path) -> None:
    """As postgres:17 is used here, with the server that the machine has."""
    (root / "usr").mkdir()
    for folder in (
        "dev",
        "proc",
        "sys",
        "tmp",
        "etc",
        "var/run/postgresql",
        "var/lib/postgresql/data",
        "usr/local/bin",
        "usr/lib",
    ):
        (root / folder).mkdir(parents=True)
    # As the official image has it. The engine gives a tmpfs there the same mode, whenever the container starts.
    (root / "var/run/postgresql").chmod(0o1777)
    for link in ("lib", "lib64", "usr/lib64", f"usr/lib/{sysconfig.get_config_var('MULTIARCH')}"):
        (root / link).symlink_to("/usr/lib")
    (root / "bin").symlink_to("usr/bin")
    version = binaries.parent.name
    place = f"usr/lib/postgresql/{version}"
    modules = [path for path in (binaries.parent / "lib").glob("*.so") if not path.name.startswith("llvm")]
    (root / place / "lib").mkdir(parents=True)
    for module in modules:
        shutil.copy2(module, root / place / "lib")
    copy_libraries(root, [module for module in modules if module.name == "libpqwalreceiver.so"])
    names = ("initdb", "pg_ctl", "pg_isready", "postgres", "psql")
    copy_programs(root, [binaries / name for name in names], f"{place}/bin")
    for name in names:
        (root / "usr/local/bin" / name).symlink_to(f"/{place}/bin/{name}")
    share = Path("/usr/share/postgresql", version)
    shutil.copytree(share, root / share.relative_to("/"), ignore=shutil.ignore_patterns("man"))
    rootfs.copy_zones(root)
    copy_programs(root, [found(name) for name in SHELL])
    (root / "usr/bin/sh").symlink_to("bash")
    (root / "etc/passwd").write_text(f"{USERS}postgres:x:{POSTGRES_ID}:{POSTGRES_ID}::/var/lib/postgresql:/bin/sh\n")
    (root / "etc/group").write_text(f"root:x:0:\npostgres:x:{POSTGRES_ID}:\n")
    entry = root / "usr/local/bin/docker-entrypoint.sh"
    entry.write_text(POSTGRES_ENTRY)
    entry.chmod(0o755)


def pack_nats(target: IO[bytes], server: Path) -> None:
    """The files of an image with NATS, and with what asks it whether it is well."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=target, mode="w") as tar:
        root = Path(folder, "root")
        for place in ("dev", "proc", "sys", "etc", "data", "usr/lib"):
            (root / place).mkdir(parents=True)
        for link in ("lib", "lib64"):
            (root / link).symlink_to("/usr/lib")
        copy_programs(root, [server, found("wget")])
        tar.add(root, arcname=".", filter=owned_by_root)

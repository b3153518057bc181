"""A package's files in a zip, and out of one that nobody has looked at: bounded, and nowhere but where they belong."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

EPOCH = (1980, 1, 1, 0, 0, 0)
"""No times, so that the same files make the same zip."""
REGULAR_FILE = (stat.S_IFREG | 0o644) << 16
MOST_PATH_CHARACTERS = 200
ENCRYPTED = 0x1
BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How files may be compressed: of other methods `zipfile` unpacks an input chunk whole, however large that gets."""
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for bytes that are no zip, or a damaged one."""


class BadPackage(ValueError):
    """What is no package, and why."""


@dataclass(frozen=True, slots=True)
class ArchiveBounds:
    """The most that a package may hold. Bytes are counted while unpacking, whatever a header says."""

    files: int = 64
    file_bytes: int = 4 * 1024 * 1024
    total_bytes: int = 4 * 1024 * 1024
    zip_bytes: int = 2 * 1024 * 1024


def pack(folder: str, files: Mapping[str, bytes]) -> bytes:
    """A zip with the files in one folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{path}", EPOCH)
            entry.external_attr = REGULAR_FILE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[path])
    return buffer.getvalue()


def unpack(data: bytes, bounds: ArchiveBounds) -> tuple[str, dict[str, bytes]]:
    """The folder's name, and the files by their paths in it. Nothing is written anywhere. Raises BadPackage."""
    if len(data) > bounds.zip_bytes:
        raise BadPackage(f"it is larger than {bounds.zip_bytes} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(archive.infolist()) > 2 * bounds.files or len(entries) > bounds.files:
                raise BadPackage(f"it has more than {bounds.files} files")
            files: dict[str, bytes] = {}
            left = bounds.total_bytes
            for entry in _checked(entries):
                files[entry.filename] = _read(archive, entry, min(left, bounds.file_bytes))
                left -= len(files[entry.filename])
            return _in_one_folder(files)
    except DAMAGE as error:
        if isinstance(error, BadPackage):
            raise
        raise BadPackage(f"it is no zip that can be read: {type(error).__name__}") from error


def check_path(path: str) -> None:
    """Raise BadPackage for a path that could mean another place than it says."""
    parts = path.split("/")
    if len(path) > MOST_PATH_CHARACTERS or "\\" in path or ":" in path or not path.isprintable():
        raise BadPackage(f"{path[:80]!r} is no path of a package")
    if any(part in ("", ".", "..") for part in parts):
        raise BadPackage(f"{path[:80]!r} leads out of the package")


def _checked(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    seen: set[str] = set()
    for entry in entries:
        check_path(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BadPackage(f"{entry.filename!r} is no ordinary file")
        if entry.flag_bits & ENCRYPTED:
            raise BadPackage(f"{entry.filename!r} is encrypted")
        if entry.compress_type not in BOUNDED_METHODS:
            raise BadPackage(f"{entry.filename!r} is neither stored nor deflated")
        if (folded := entry.filename.casefold()) in seen:
            raise BadPackage(f"{entry.filename!r} is there twice")
        seen.add(folded)
    return entries


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with archive.open(entry) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BadPackage(f"{entry.filename!r} is larger than the {most} bytes that are left for it")
    return content


def _in_one_folder(files: dict[str, bytes]) -> tuple[str, dict[str, bytes]]:
    folders = {path.partition("/")[0] for path in files if "/" in path}
    if len(folders) != 1 or any("/" not in path for path in files):
        raise BadPackage("its files are not in one folder")
    (folder,) = folders
    return folder, {path.partition("/")[2]: content for path, content in files.items()}

"""The file by which commands find the mesh that runs on this machine: `<data_dir>/mesh.json`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "mesh.json"


@dataclass(frozen=True)
class MeshState:
    """A running mesh: its supervisor and where its services listen.

    `certificate`: the file of what the gateway shows its clients; None where it speaks plain text.
    """

    pid: int
    gateway: str
    addresses: dict[str, str]
    certificate: str | None = None


def write(data_dir: Path, state: MeshState) -> None:
    """Leave the state for other commands, whole or not at all."""
    draft = data_dir / f"{FILE}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n")
    draft.replace(data_dir / FILE)


def read(data_dir: Path) -> MeshState | None:
    """The mesh that runs in the directory, or None: no file, no sense in it, or its supervisor is gone."""
    try:
        state = MeshState(**json.loads((data_dir / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return state if is_alive(state.pid) else None


def remove(data_dir: Path) -> None:
    """Take the state away."""
    (data_dir / FILE).unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Sandboxes: places of your own to run Python that nobody has read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, runtime_checkable


class RawStatus(Enum):
    """How an execution ended, as seen from outside the code (`autodev.extension.v1.RawStatus`)."""

    OK = 1
    ERROR = 2
    TIMEOUT = 3
    OOM = 4
    OUTPUT_LIMIT = 5
    KILLED = 6


@dataclass(frozen=True, slots=True)
class RawExecution:
    """One piece of Python to run once.

    `entry_point` names the function that is called with `inputs` as keyword arguments; its value is the result. Empty:
    the module runs as `__main__` and the result is None. Paths of files are within the working directory.
    """

    code: str
    entry_point: str
    inputs: Mapping[str, Any]
    timeout_s: float
    memory_bytes: int
    cpus: float
    output_bytes: int
    processes: int
    input_files: Mapping[str, bytes] = field(default_factory=dict)
    output_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawResult:
    """How it ended.

    `value` is JSON-shaped, and has meaning where `status` is OK. `error` is what the code raised: the exception's type,
    its message, and the traceback's frames within the code.
    """

    status: RawStatus
    value: Any = None
    error: tuple[str, str, str] | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    duration_s: float = 0.0
    peak_memory_bytes: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)


@runtime_checkable
class SandboxProtocol(Protocol):
    """Runs code apart. How strongly is for the operator to declare (`AUTODEV_SANDBOX_EXTENSION_LEVELS`), not for it."""

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        """Run code once, in an isolation that is used for nothing before and nothing after.

        Cancelled, it must end the code. An exception means that the backend is broken: it is taken out of use until a
        trial run succeeds.
        """
        ...

"""What the sandbox runs and how it ended: the words every other module speaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from autodev_runtime.json_value import JsonValue

MIB = 1024 * 1024
MIN_MEMORY_BYTES = 16 * MIB  # The interpreter alone takes about 11.


class Status(Enum):
    """How an execution ended. Decided outside the code's own process."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"


class IsolationLevel(IntEnum):
    """How strongly an execution is kept apart. Levels compare: the weaker is the lesser."""

    PROCESS = 1
    NAMESPACE = 2
    CONTAINER = 3
    CONTAINER_GVISOR = 4


@dataclass(frozen=True)
class Limits:
    """What one execution may use. `output_bytes` bounds stdout and stderr together, and the result by itself."""

    timeout_s: float = 5.0
    memory_bytes: int = 256 * MIB
    cpus: float = 1.0
    output_bytes: int = 1 * MIB
    processes: int = 64
    tmp_bytes: int = 64 * MIB


@dataclass(frozen=True)
class Execution:
    """One piece of Python to run once.

    `entry_point` names the function that is called with `inputs` as keyword arguments; its value is the result. Empty:
    the module runs as `__main__` and the result is None. `minimum` is the least isolation, None the operator's.
    """

    code: str
    entry_point: str = ""
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    minimum: IsolationLevel | None = None


@dataclass(frozen=True)
class ExecutionError:
    """What the code raised. `traceback` shows the frames within the code only."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Outcome:
    """How an execution ended. `value` has meaning only where `status` is OK; `exit_code` is 128 + n for signal n."""

    status: Status
    level: IsolationLevel
    value: JsonValue = None
    error: ExecutionError | None = None
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    duration_s: float = 0.0
    peak_memory_bytes: int = 0


class BackendUnavailable(Exception):
    """A level cannot run anything here and now. The text says what is missing and how to get it."""

"""What the sandbox runs and how it ended: the words every other module speaks."""

from collections.abc import Mapping, Sequence
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
    """What one execution may use. `output_bytes` bounds stdout and stderr together, and the result by itself;
    `file_bytes` the files that come back, together."""

    timeout_s: float = 5.0
    memory_bytes: int = 256 * MIB
    cpus: float = 1.0
    output_bytes: int = 1 * MIB
    processes: int = 64
    tmp_bytes: int = 64 * MIB
    file_bytes: int = 4 * MIB


@dataclass(frozen=True)
class Execution:
    """One piece of Python to run once.

    `entry_point` names the function that is called with `inputs` as keyword arguments; its value is the result. Empty:
    the module runs as `__main__` and the result is None. `minimum` is the least isolation, None the operator's.
    `input_files` and `output_files` are paths within /tmp: what to put there before, and to bring back after.
    """

    code: str
    entry_point: str = ""
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    minimum: IsolationLevel | None = None
    input_files: Mapping[str, bytes] = field(default_factory=dict)
    output_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calls:
    """One function to call on many inputs, in their order, in one interpreter for as long as it lives.

    Each input is called `warmup` times, then `repeat` times timed; a call that ends the interpreter is the last.
    `limits.timeout_s` and `limits.output_bytes` are one call's. `minimum` as an Execution's.
    """

    code: str
    entry_point: str
    inputs: Sequence[Mapping[str, JsonValue]]
    limits: Limits = field(default_factory=Limits)
    minimum: IsolationLevel | None = None
    warmup: int = 0
    repeat: int = 1


class Stream(Enum):
    """What code prints to."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True)
class ExecutionError:
    """What the code raised. `traceback` shows the frames within the code only."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Outcome:
    """How an execution ended. `value` has meaning only where `status` is OK; `exit_code` is 128 + n for signal n.

    `value_bytes` is how long the value's JSON text was.
    """

    status: Status
    level: IsolationLevel
    value: JsonValue = None
    value_bytes: int = 0
    error: ExecutionError | None = None
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    duration_s: float = 0.0
    peak_memory_bytes: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class CallOutcome:
    """How one input of `Calls` ended: its last call.

    `call_s`: wall time of each timed call, seen from outside the code's process.
    `varied`: two calls with this input answered differently, by value or by error.
    """

    index: int
    outcome: Outcome
    call_s: tuple[float, ...] = ()
    varied: bool = False


class BackendUnavailable(Exception):
    """A level cannot run anything here and now. The text says what is missing and how to get it."""

"""What a program of the battery is, and what must become of it.

A program's code is a module with a function `f(host)`; `host` holds what the machine offers to be attacked (see
`service.Facts`). A hostile `f` gives back what it achieved, so at a level that holds, that is nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_runtime.json_value import JsonValue
from autodev_sandbox.execution import MIB, IsolationLevel, Status

CONTAINER, NAMESPACE, PROCESS = IsolationLevel.CONTAINER, IsolationLevel.NAMESPACE, IsolationLevel.PROCESS
STRONG: Final = (CONTAINER, NAMESPACE)
LEVELS: Final = (*STRONG, PROCESS)
"""The levels that the battery runs on, strongest first."""
OK, ERROR, TIMEOUT, OOM, OUTPUT_LIMIT, KILLED = Status

Check = Callable[[JsonValue], bool]
Answers = Callable[[pb.ExecuteResponse], bool]


class Trace(Enum):
    """What an execution can leave on the machine."""

    PROCESS = "process"
    SANDBOX = "sandbox beyond the pool"
    FILE = "file"
    CACHE = "change to the sandboxes' root"
    SOCKET = "socket"
    MOUNT = "mount"
    CGROUP = "control group"
    IPC = "System V IPC object"
    QUEUE = "POSIX message queue"
    KEY = "key"
    MEMORY = "memory"
    DESCRIPTOR = "descriptor of the service"
    VISIT = "connection to a server of the machine"


class Expected(Enum):
    """Values that are not told in advance."""

    ANY = "any"
    AS_OUTSIDE = "what the same code gives to the same user without a sandbox"


Value = JsonValue | Check | Expected


@dataclass(frozen=True)
class Weakness:
    """What a level lets a program do. `can` is its row in docs/security.md; the rest replaces the program's own."""

    can: str
    statuses: frozenset[Status] | None = None
    value: Value = Expected.ANY
    leaves: frozenset[Trace] = frozenset()


@dataclass(frozen=True)
class Limits:
    """What a program may use: small, so that what would not end ends soon."""

    timeout_s: float = 5.0
    memory_bytes: int = 128 * MIB
    cpus: float = 0.0
    output_bytes: int = 100_000
    processes: int = 0


@dataclass(frozen=True)
class Program:
    """One idea.

    `value` is what `f` must give where the status is OK. `earlier` is code that runs to its end before, in an
    execution of its own: what it left is looked for. `output_files` are asked for after the code.
    """

    name: str
    tries: str
    code: str
    statuses: frozenset[Status] = frozenset({OK})
    value: Value = None
    answers: Answers | None = None
    limits: Limits = field(default_factory=Limits)
    weaker: Mapping[IsolationLevel, Weakness] = field(default_factory=dict)
    earlier: str = ""
    output_files: tuple[str, ...] = ()
    benign: bool = False
    levels: tuple[IsolationLevel, ...] = LEVELS

    def allowed_at(self, level: IsolationLevel) -> frozenset[Status]:
        """How it may end there."""
        weakness = self.weaker.get(level)
        return self.statuses if weakness is None or weakness.statuses is None else weakness.statuses

    def value_at(self, level: IsolationLevel) -> Value:
        """What it gives there."""
        weakness = self.weaker.get(level)
        return self.value if weakness is None else weakness.value

    def leaves_at(self, level: IsolationLevel) -> frozenset[Trace]:
        """What it leaves there: nothing, but for a weakness."""
        weakness = self.weaker.get(level)
        return frozenset() if weakness is None else weakness.leaves


BRIEF: Final = Limits(timeout_s=1.0)


def at_most(bound: float) -> Check:
    """A number up to a bound."""
    return lambda value: isinstance(value, int | float) and value <= bound


def more_than(bound: float) -> Check:
    """A number past a bound."""
    return lambda value: isinstance(value, int | float) and value > bound


def one_of(*statuses: Status) -> frozenset[Status]:
    return frozenset(statuses)


def at_every_level(weakness: Weakness) -> dict[IsolationLevel, Weakness]:
    """For what no level can keep from the code."""
    return dict.fromkeys(LEVELS, weakness)

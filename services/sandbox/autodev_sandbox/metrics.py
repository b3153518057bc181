"""What the sandbox counts. Every label is bounded: no tenant is among them."""

from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from autodev_runtime.turns import Turns
from autodev_sandbox.backends import Backend
from autodev_sandbox.execution import IsolationLevel, Status
from autodev_sandbox.levels import Levels

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
POOL_STATES = ("ready", "starting", "in_use", "ending")

EXECUTIONS = Counter(
    "autodev_sandbox_executions_total", "Executions, and inputs of batches, that ended", ["status", "level"]
)
QUEUE_SECONDS = Histogram(
    "autodev_sandbox_queue_seconds", "Time that an execution waited for its turn", buckets=SECONDS
)
TAKE_SECONDS = Histogram(
    "autodev_sandbox_take_seconds", "Time to get a started sandbox, from the pool or made", ["level"], buckets=SECONDS
)
RUN_SECONDS = Histogram("autodev_sandbox_run_seconds", "Wall time of the code", ["level"], buckets=SECONDS)
KILLS = Counter(
    "autodev_sandbox_kills_total",
    "Executions that did not end by themselves: timeout, oom, output_limit, cancelled (by name), crashed (a signal), "
    "lost (the sandbox went away under it), caller_gone (the call was cancelled, or its deadline passed)",
    ["cause"],
)
REFUSALS = Counter(
    "autodev_sandbox_refusals_total",
    "Executions that were not begun: QUEUE_FULL, ISOLATION_UNAVAILABLE, CALLER_GONE (while it waited)",
    ["reason"],
)
RUNNING = Gauge("autodev_sandbox_running", "Executions running now")
WAITING = Gauge("autodev_sandbox_waiting", "Executions waiting for their turn now")
POOL = Gauge("autodev_sandbox_pool_sandboxes", "Started sandboxes by what they are at", ["level", "state"])

READY = Gauge(
    "autodev_sandbox_ready", "Whether a level works that is strong enough for an execution that asks for none: 1, or 0"
)

# Looking a label up costs more than counting.
ENDED = {
    (status, level): EXECUTIONS.labels(status.value, level.name.lower())
    for status in Status
    for level in IsolationLevel
}
TAKEN = {level: TAKE_SECONDS.labels(level.name.lower()) for level in IsolationLevel}
RAN = {level: RUN_SECONDS.labels(level.name.lower()) for level in IsolationLevel}
KILLED = {
    cause: KILLS.labels(cause)
    for cause in ("timeout", "oom", "output_limit", "cancelled", "crashed", "lost", "caller_gone")
}


def show(turns: Turns, levels: Levels) -> None:
    """Let the gauges read the service."""
    READY.set_function(lambda: levels.best(levels.minimum) is not None)
    RUNNING.set_function(lambda: turns.running)
    WAITING.set_function(lambda: turns.waiting)
    for backend in levels.backends:
        for state in POOL_STATES:
            POOL.labels(backend.level.name.lower(), state).set_function(partial(_pool_count, backend, state))


def _pool_count(backend: Backend, state: str) -> int:
    return int(getattr(backend.pool_status(), state))

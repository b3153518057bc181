"""What the sandbox counts."""

from prometheus_client import Counter, Gauge, Histogram

from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import Outcome

EXECUTIONS = Counter("autodev_sandbox_executions_total", "Executions that ended", ["status", "level"])
EXECUTION_SECONDS = Histogram(
    "autodev_sandbox_execution_seconds",
    "Wall time of an execution: waiting, making the sandbox, running, removing it",
    ["level"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RUNNING = Gauge("autodev_sandbox_running", "Executions running now")
WAITING = Gauge("autodev_sandbox_waiting", "Executions waiting for a slot now")


def count(outcome: Outcome, total_s: float) -> None:
    """Count one execution."""
    EXECUTIONS.labels(outcome.status.value, outcome.level.name.lower()).inc()
    EXECUTION_SECONDS.labels(outcome.level.name.lower()).observe(total_s)


def show(dispatcher: Dispatcher) -> None:
    """Let the gauges read the dispatcher."""
    RUNNING.set_function(lambda: dispatcher.running)
    WAITING.set_function(lambda: dispatcher.waiting)

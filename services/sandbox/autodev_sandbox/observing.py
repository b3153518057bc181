"""What is told of an execution on its way through the service: metrics, and a trace span that holds no code."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from autodev_runtime.errors import DeadlineExceeded, FailedPrecondition, ResourceExhausted
from autodev_runtime.spans import Span, span
from autodev_sandbox import metrics
from autodev_sandbox.execution import IsolationLevel, Outcome, Status
from autodev_sandbox.running import LOST_EXIT_CODE

CAUSES = {Status.TIMEOUT: "timeout", Status.OOM: "oom", Status.OUTPUT_LIMIT: "output_limit"}


class Observation:
    """One execution, or one batch of them. Its steps are told in their order; a batch repeats them."""

    def __init__(self) -> None:
        self._step_s = time.monotonic()
        self._queue_s = self._take_s = self._run_s = 0.0
        self._inputs = 0
        self._status: Status | None = None
        self.level: IsolationLevel | None = None
        """Of its latest sandbox."""

    def queued(self) -> None:
        """Its turn has come."""
        seconds = self._next_step()
        self._queue_s += seconds
        metrics.QUEUE_SECONDS.observe(seconds)

    def taken(self, level: IsolationLevel) -> None:
        """It has a sandbox."""
        seconds = self._next_step()
        self._take_s += seconds
        self.level = level
        metrics.TAKEN[level].observe(seconds)

    def ended(self, outcome: Outcome, cause: str = "") -> None:
        """It, or one input of it, has ended. `cause`: what killed it, where the outcome does not say."""
        self._next_step()
        self._run_s += outcome.duration_s
        self._inputs += 1
        self._status = outcome.status
        metrics.ENDED[outcome.status, outcome.level].inc()
        metrics.RAN[outcome.level].observe(outcome.duration_s)
        if outcome.status is Status.KILLED:
            cause = cause or ("lost" if outcome.exit_code == LOST_EXIT_CODE else "crashed")
        cause = cause or CAUSES.get(outcome.status, "")
        if cause:
            metrics.KILLED[cause].inc()

    def describe(self, span: Span) -> None:
        """Write all of it to the span."""
        span.set("autodev.sandbox.queue_seconds", self._queue_s)
        span.set("autodev.sandbox.take_seconds", self._take_s)
        span.set("autodev.sandbox.run_seconds", self._run_s)
        span.set("autodev.sandbox.inputs", self._inputs)
        if self.level is not None:
            span.set("autodev.sandbox.level", self.level.name)
        if self._status is not None:
            span.set("autodev.sandbox.status", self._status.name)

    def _next_step(self) -> float:
        before_s, self._step_s = self._step_s, time.monotonic()
        return self._step_s - before_s


@contextmanager
def observed(name: str, tenant: str) -> Iterator[Observation]:
    """The observation of the block, which is a span of that name; refusals and callers that go are counted."""
    with span(name) as recorded:
        seen = Observation()
        try:
            yield seen
        except (FailedPrecondition, ResourceExhausted) as error:
            metrics.REFUSALS.labels(error.reason).inc()
            raise
        except DeadlineExceeded:
            metrics.KILLED["timeout"].inc()
            raise
        except asyncio.CancelledError:
            if seen.level is None:
                metrics.REFUSALS.labels("CALLER_GONE").inc()
            else:
                metrics.KILLED["caller_gone"].inc()
            raise
        finally:
            if recorded.recording:
                recorded.set("autodev.tenant", tenant)
                seen.describe(recorded)

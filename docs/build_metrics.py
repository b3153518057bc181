"""Writes docs/metrics.md from the metrics that the code declares: `make metrics-page`."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

import autodev_fitness.metrics
import autodev_gateway.metrics
import autodev_learning.metrics
import autodev_runtime.certificates
import autodev_runtime.extensions.metrics
import autodev_runtime.outbox
import autodev_runtime.pools
import autodev_runtime.repeating
import autodev_runtime.telemetry
import autodev_sandbox.metrics

PAGE = Path(__file__).with_name("metrics.md")
MODULES: dict[str, tuple[ModuleType, ...]] = {
    "Every service": (
        autodev_runtime.telemetry,
        autodev_runtime.outbox,
        autodev_runtime.repeating,
        autodev_runtime.pools,
        autodev_runtime.certificates,
        autodev_runtime.extensions.metrics,
    ),
    "gateway": (autodev_gateway.metrics,),
    "learning": (autodev_learning.metrics,),
    "fitness": (autodev_fitness.metrics,),
    "sandbox": (autodev_sandbox.metrics,),
}
STEPS = ("level", "status", "inputs", "queue_seconds", "take_seconds", "run_seconds")
HEAD = """# Metrics and traces

Each service serves its metrics to Prometheus at `http://127.0.0.1:<METRICS_PORT>/metrics`, where that setting is not 0.
For a Prometheus on another machine `METRICS_HOST` is an address that it reaches; no credential is asked for there.
Names end with their unit. No label holds a workspace, an agent or anything else without a bound. This page is built
from the code by `make metrics-page`.

[`deploy/grafana/autodev.json`](../deploy/grafana/autodev.json) is a dashboard of them, and
[`deploy/prometheus/alerts.yml`](../deploy/prometheus/alerts.yml) what to be woken by.

With `AUTODEV_OTLP_ENDPOINT=http://127.0.0.1:4317` the services send OpenTelemetry spans there (OTLP over gRPC): one
trace from a call at the gateway to the worker that handles the last event of it. A caller's `traceparent` decides
whether its trace is recorded; of those that begin in the mesh `AUTODEV_TRACE_RATIO` is the share (decision 0026). No
span holds code, inputs or text that a person wrote.

"""
MESSAGING = ("system", "destination.name", "operation.name", "operation.type")
SPANS = {
    "`<package>.<Service>/<Method>`, server and client, one a call": (
        "rpc.system.name",
        "rpc.method",
        "rpc.response.status_code",
    ),
    "`publish events`, a producer, one a call of Publish": (
        *(f"messaging.{name}" for name in MESSAGING),
        "messaging.batch.message_count",
    ),
    "`create events`, a producer, one an event of a service": (
        *(f"messaging.{name}" for name in MESSAGING),
        "messaging.message.id",
        "autodev.event.type",
    ),
    "`process events`, a consumer, one a try of a group's worker": (
        *(f"messaging.{name}" for name in MESSAGING),
        "messaging.consumer.group.name",
        "messaging.message.id",
        "autodev.event.type",
        "autodev.tenant",
    ),
    "`POST /webhooks/{source}`, server": ("http.request.method", "http.route"),
    "`sandbox.execute`, one an execution; `sandbox.execute_batch`, one a batch": (
        "autodev.tenant",
        *(f"autodev.sandbox.{step}" for step in STEPS),
    ),
}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD + spans(), *(section(title, modules) for title, modules in MODULES.items())])


def spans() -> str:
    """The table of spans. A span that failed has `error.type` besides."""
    rows = "".join(f"| {name} | {', '.join(f'`{each}`' for each in told)} |\n" for name, told in SPANS.items())
    return f"| span | attributes, and `error.type` where it failed |\n|---|---|\n{rows}"


def section(title: str, modules: tuple[ModuleType, ...]) -> str:
    """One table."""
    rows = "".join(row for module in modules for row in rows_of(module))
    return f"## {title}\n\n| metric | type | labels | what it is |\n|---|---|---|---|\n{rows}"


def rows_of(module: ModuleType) -> Iterator[str]:
    for metric in vars(module).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())

"""Writes docs/metrics.md from the metrics that the code declares: `make metrics-page`."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

import autodev_gateway.metrics
import autodev_learning.metrics
import autodev_runtime.certificates
import autodev_runtime.outbox
import autodev_runtime.telemetry
import autodev_sandbox.metrics

PAGE = Path(__file__).with_name("metrics.md")
MODULES: dict[str, tuple[ModuleType, ...]] = {
    "Every service": (autodev_runtime.telemetry, autodev_runtime.outbox, autodev_runtime.certificates),
    "gateway": (autodev_gateway.metrics,),
    "learning": (autodev_learning.metrics,),
    "sandbox": (autodev_sandbox.metrics,),
}
STEPS = ("level", "status", "inputs", "queue_seconds", "take_seconds", "run_seconds")
HEAD = """# Metrics and traces

Each service serves its metrics to Prometheus at `http://127.0.0.1:<METRICS_PORT>/metrics`, where that setting is not 0.
Names end with their unit. No label holds a workspace, an agent or anything else without a bound. This page is built
from the code by `make metrics-page`.

With `AUTODEV_OTLP_ENDPOINT=http://127.0.0.1:4317` the services send OpenTelemetry spans there (OTLP over gRPC), in the
trace that the caller's `traceparent` names, if that says that it is sampled:

| span | attributes |
|---|---|
| `sandbox.execute`, one an execution | `autodev.tenant`, `autodev.sandbox.` and: {steps} |
| `sandbox.execute_batch`, one a batch | the same; `status` is the last input's |
""".format(steps=", ".join(f"`{name}`" for name in STEPS))


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(title, modules) for title, modules in MODULES.items())])


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

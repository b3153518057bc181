"""What Prometheus sees of extensions that are gRPC services."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter(
    "autodev_extension_calls_total",
    "Questions to an extension, by how they ended: ok, refused (by an error on purpose), failed, abandoned",
    ["extension", "outcome"],
)
SECONDS = Histogram(
    "autodev_extension_seconds",
    "Time of a question to an extension",
    ["extension"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60),
)
AVAILABLE = Gauge(
    "autodev_extension_available", "Whether an extension is asked: 0 while it rests after failures", ["extension"]
)

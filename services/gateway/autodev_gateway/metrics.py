"""What the gateway counts."""

from prometheus_client import Counter, Gauge, Histogram

APPENDED = Counter("autodev_events_appended_total", "Events appended to the log")
DUPLICATES = Counter("autodev_events_duplicate_total", "Events published again, and not appended again")
BATCH_EVENTS = Histogram(
    "autodev_append_batch_events",
    "Events committed in one transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
APPEND_SECONDS = Histogram(
    "autodev_append_seconds",
    "Time of one append transaction, the flush to disk included",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
TRIMMED = Counter("autodev_events_trimmed_total", "Events deleted by retention")
SUBSCRIBERS = Gauge("autodev_subscribers", "Open subscriptions")
SENT = Counter("autodev_events_sent_total", "Events sent to subscribers")
SLOW = Counter("autodev_subscribers_too_slow_total", "Subscriptions ended because the subscriber did not read")
WORKERS = Gauge("autodev_group_workers", "Workers in consumer groups")
DELIVERIES = Counter("autodev_deliveries_total", "Events leased to workers", ["outcome"])
GROUP_LAG = Gauge(
    "autodev_group_lag_seconds", "Age of the newest event when a service's group had taken all before it", ["group"]
)
GROUP_GAPS = Counter(
    "autodev_group_gaps_total",
    "Times that retention deleted events of a tenant before a group had taken or settled them; the log says which",
)
WEBHOOKS = Counter(
    "autodev_webhooks_total",
    "Webhooks answered: accepted, repeated (known already), revived (one that was dead), conflict (the id with another "
    "body), invalid, unsigned, too_large, too_slow, limited (a source's rate), busy (too much waits), unavailable",
    ["outcome"],
)
WEBHOOK_SECONDS = Histogram(
    "autodev_webhook_seconds",
    "Time from a webhook's last byte to its answer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
WEBHOOK_DELIVERIES = Counter(
    "autodev_webhook_deliveries_total",
    "Tries to pass a webhook on to the fitness service: delivered, postponed, dead (given up)",
    ["outcome"],
)
WEBHOOKS_WAITING = Gauge("autodev_webhooks_waiting", "Webhooks that are acknowledged and not yet passed on")
WEBHOOKS_DEAD = Gauge("autodev_webhooks_dead", "Webhooks that could not be passed on, and were given up")
WEBHOOK_LAG = Gauge("autodev_webhook_lag_seconds", "Age of the oldest webhook that is not yet passed on")
WEBHOOK_SECRETS_REFUSED = Gauge(
    "autodev_webhook_secrets_refused", "1 while the file of the webhooks' secrets cannot be used, and what it held is"
)

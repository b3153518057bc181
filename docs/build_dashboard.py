"""Writes deploy/grafana/autodev.json: `make dashboard`. What a row shows is said here; the JSON says it at length."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[1] / "deploy" / "grafana" / "autodev.json"
WIDTH, HEIGHT = 24, 8
SERVICES = ("gateway", "capability", "learning", "fitness", "sandbox")
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
FAULTS = "INTERNAL|UNKNOWN|UNAVAILABLE|DEADLINE_EXCEEDED|DATA_LOSS"


@dataclass(frozen=True)
class Query:
    """One expression, and what its lines are called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One graph. `unit` is Grafana's name of it."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    description: str = ""


def rate(metric: str, by: str, selector: str = "") -> str:
    """How often a second, by labels."""
    return f"sum by ({by}) (rate({metric}{selector}[$__rate_interval]))"


def percentiles(metric: str, by: str = "", selector: str = "") -> tuple[Query, ...]:
    """The median and the slowest hundredth of a histogram."""
    labels = f"le, {by}" if by else "le"
    return tuple(
        Query(
            f"histogram_quantile({share}, {rate(f'{metric}_bucket', labels, selector)})",
            f"{name} {{{{{by}}}}}" if by else name,
        )
        for share, name in ((0.5, "p50"), (0.99, "p99"))
    )


def calls(service: str) -> tuple[Panel, ...]:
    """A service's RPCs: rate, errors, latency."""
    of = f'{{service="{service}"}}'
    faults = f'{{service="{service}", code=~"{FAULTS}"}}'
    return (
        Panel("Calls by method", "reqps", (Query(rate("autodev_rpc_calls_total", "method", of), "{{method}}"),)),
        Panel(
            "Share of calls that failed by our fault",
            "percentunit",
            (
                Query(
                    f"sum(rate(autodev_rpc_calls_total{faults}[$__rate_interval]))"
                    f" / sum(rate(autodev_rpc_calls_total{of}[$__rate_interval]))",
                    "failed",
                ),
            ),
            f"Codes {FAULTS.replace('|', ', ')}.",
        ),
        Panel("Latency of calls", "s", percentiles("autodev_rpc_seconds", selector=of)),
    )


ROWS: dict[str, tuple[Panel, ...]] = {
    "Mesh": (
        Panel(
            "Calls by service and status",
            "reqps",
            (Query(rate("autodev_rpc_calls_total", "service, code"), "{{service}} {{code}}"),),
        ),
        Panel("Replicas", "short", (Query("sum by (service) (autodev_service_replicas)", "{{service}}"),)),
        Panel(
            "Outbox: age of the oldest event that is not published",
            "s",
            (Query("max by (job, instance) (autodev_outbox_lag_seconds)", "{{job}} {{instance}}"),),
        ),
        Panel(
            "Certificates: time until they expire",
            "s",
            (
                Query(
                    "min by (job, certificate) (autodev_certificate_expires_timestamp_seconds - time())",
                    "{{job}} {{certificate}}",
                ),
            ),
        ),
        Panel(
            "Certificates: changes of their files",
            "ops",
            (
                Query(
                    rate("autodev_certificate_renewals_total", "job, certificate, outcome"),
                    "{{job}} {{certificate}}: {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Transactions done again",
            "ops",
            (Query(rate("autodev_transactions_repeated_total", "job"), "{{job}}"),),
            "Two met, and the database undid one of them.",
        ),
        Panel(
            "Database: connections",
            "short",
            (
                Query("sum by (job, pool, state) (autodev_database_pool_connections)", "{{job}} {{pool}}: {{state}}"),
                Query("sum by (job, pool) (autodev_database_pool_limit_connections)", "{{job}} {{pool}}: limit"),
            ),
        ),
        Panel(
            "Database: transactions that wait for a connection",
            "short",
            (Query("sum by (job, pool) (autodev_database_pool_waiting_transactions)", "{{job}} {{pool}}"),),
            "Where they wait for long: raise DATABASE_POOL_SIZE as far as PostgreSQL's max_connections allows, or add "
            "replicas.",
        ),
        Panel(
            "Extensions: questions by outcome",
            "ops",
            (
                Query(rate("autodev_extension_calls_total", "extension, outcome"), "{{extension}}: {{outcome}}"),
                Query("min by (extension) (autodev_extension_available)", "{{extension}} is asked (1) or rests (0)"),
            ),
        ),
        Panel("Extensions: time of a question", "s", percentiles("autodev_extension_seconds", "extension")),
    ),
    "gateway": (
        *calls("gateway"),
        Panel(
            "Events",
            "ops",
            (
                Query("sum(rate(autodev_events_appended_total[$__rate_interval]))", "appended"),
                Query("sum(rate(autodev_events_sent_total[$__rate_interval]))", "sent to subscribers"),
                Query("sum(rate(autodev_events_duplicate_total[$__rate_interval]))", "published again"),
                Query("sum(rate(autodev_events_trimmed_total[$__rate_interval]))", "deleted by retention"),
            ),
        ),
        Panel("Time of an append, disk included", "s", percentiles("autodev_append_seconds")),
        Panel("Events in an append", "short", percentiles("autodev_append_batch_events")),
        Panel(
            "Groups: age of the newest event when all before it were taken",
            "s",
            (Query("max by (group) (autodev_group_lag_seconds)", "{{group}}"),),
        ),
        Panel(
            "Deliveries to workers",
            "ops",
            (
                Query(rate("autodev_deliveries_total", "outcome"), "{{outcome}}"),
                Query("sum(rate(autodev_group_gaps_total[$__rate_interval]))", "tenants' events gone before taken"),
            ),
        ),
        Panel(
            "Streams",
            "short",
            (
                Query("sum(autodev_subscribers)", "subscribers"),
                Query("sum(autodev_group_workers)", "workers"),
                Query("sum(increase(autodev_subscribers_too_slow_total[$__rate_interval]))", "told they are too slow"),
            ),
        ),
    ),
    "Webhooks": (
        Panel("Webhooks by answer", "reqps", (Query(rate("autodev_webhooks_total", "outcome"), "{{outcome}}"),)),
        Panel("Time to an answer", "s", percentiles("autodev_webhook_seconds")),
        Panel(
            "Waiting and dead",
            "short",
            (
                Query("max(autodev_webhooks_waiting)", "waiting"),
                Query("max(autodev_webhooks_dead)", "dead"),
                Query("max(autodev_webhook_lag_seconds)", "age of the oldest that waits, s"),
            ),
        ),
        Panel(
            "Tries to pass on",
            "ops",
            (Query(rate("autodev_webhook_deliveries_total", "outcome"), "{{outcome}}"),),
        ),
    ),
    "capability": (
        *calls("capability"),
        Panel(
            "Quotas: reservations by answer",
            "reqps",
            (
                Query(
                    rate(
                        "autodev_rpc_calls_total",
                        "code",
                        '{method="/autodev.capability.v1.CapabilityService/ReserveUsage"}',
                    ),
                    "{{code}}",
                ),
            ),
            "RESOURCE_EXHAUSTED: the day's limit is used up.",
        ),
    ),
    "learning": (
        *calls("learning"),
        Panel(
            "Learning",
            "ops",
            (
                Query("sum(rate(autodev_learning_patterns_total[$__rate_interval]))", "patterns"),
                Query(rate("autodev_learning_candidates_total", "status"), "candidates {{status}}"),
                Query(rate("autodev_learning_mutations_total", "stage"), "mutations {{stage}}"),
                Query(rate("autodev_learning_mutation_runs_total", "status"), "runs {{status}}"),
                Query(rate("autodev_learning_overfit_total", "subject, mark"), "overfit {{subject}} {{mark}}"),
                Query("sum(rate(autodev_learning_regressions_total[$__rate_interval]))", "refused for a regression"),
                Query(rate("autodev_learning_trials_total", "result"), "trials {{result}}"),
                Query(rate("autodev_learning_experiment_steps_total", "result"), "steps {{result}}"),
                Query(rate("autodev_learning_experiment_programs_total", "result"), "experiments' programs {{result}}"),
            ),
        ),
        Panel("Time to write a candidate", "s", percentiles("autodev_learning_proposal_seconds", "outcome")),
        Panel("Time to prove a candidate", "s", percentiles("autodev_learning_validation_seconds")),
        Panel(
            "Calls of language models",
            "ops",
            (
                Query(rate("autodev_learning_llm_calls_total", "provider, outcome"), "{{provider}} {{outcome}}"),
                Query("sum(rate(autodev_learning_llm_refusals_total[$__rate_interval]))", "not asked: budget spent"),
            ),
        ),
        Panel("Time of a call of a language model", "s", percentiles("autodev_learning_llm_call_seconds", "provider")),
        Panel(
            "Tokens of language models",
            "short",
            (Query(rate("autodev_learning_llm_tokens_total", "provider, direction"), "{{provider}} {{direction}}"),),
            "As the providers counted, tokens a second.",
        ),
        Panel(
            "Money for language models, US dollars an hour",
            "currencyUSD",
            (Query(f"3600 * {rate('autodev_learning_llm_cost_usd_total', 'provider')}", "{{provider}}"),),
            "As it is taken from the tenants' budgets: calls whose end is unknown at the most that they can cost.",
        ),
    ),
    "fitness": (
        *calls("fitness"),
        Panel(
            "Scores computed again since weights changed",
            "ops",
            (Query("sum(rate(autodev_fitness_recalculated_total[$__rate_interval]))", "recalculated"),),
        ),
    ),
    "sandbox": (
        *calls("sandbox"),
        Panel(
            "Executions by end",
            "ops",
            (Query(rate("autodev_sandbox_executions_total", "status, level"), "{{status}} {{level}}"),),
        ),
        Panel(
            "Queue",
            "short",
            (
                Query("sum(autodev_sandbox_running)", "running"),
                Query("sum(autodev_sandbox_waiting)", "waiting"),
            ),
        ),
        Panel("Time in the queue", "s", percentiles("autodev_sandbox_queue_seconds")),
        Panel("Time to get a sandbox", "s", percentiles("autodev_sandbox_take_seconds", "level")),
        Panel("Time of the code", "s", percentiles("autodev_sandbox_run_seconds", "level")),
        Panel(
            "Pools",
            "short",
            (Query("sum by (level, state) (autodev_sandbox_pool_sandboxes)", "{{level}} {{state}}"),),
        ),
        Panel(
            "Kills and refusals",
            "ops",
            (
                Query(rate("autodev_sandbox_kills_total", "cause"), "killed: {{cause}}"),
                Query(rate("autodev_sandbox_refusals_total", "reason"), "refused: {{reason}}"),
            ),
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana reads it from a provisioned file."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        top += 1
        for start in range(0, len(row), 3):
            line = row[start : start + 3]
            width = WIDTH // len(line)
            for place, panel in enumerate(line):
                grid = {"x": place * width, "y": top, "w": width, "h": HEIGHT}
                panels.append(_graph(len(panels) + 1, panel, grid))
            top += HEIGHT
    return {
        "uid": "autodev-mesh",
        "title": "Auto-Dev",
        "tags": ["autodev"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "annotations": {"list": []},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }


def _graph(number: int, panel: Panel, grid: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": grid,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": each.expr, "legendFormat": each.legend}
            for index, each in enumerate(panel.queries)
        ],
    }


def text() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    DASHBOARD.parent.mkdir(parents=True, exist_ok=True)
    DASHBOARD.write_text(text())

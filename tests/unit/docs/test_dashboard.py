"""The dashboard and the alerts ask for metrics and labels that the code has, in PromQL that Prometheus can read."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from autodev.capability.v1 import capability_service_pb2
from docs.build_dashboard import DASHBOARD, HEIGHT, SERVICES, WIDTH, text
from docs.build_metrics import MODULES

ALERTS = Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yml"
OF_PROMETHEUS = {"job", "instance"}
SELECTOR = re.compile(r"(autodev_\w+)(?:\{([^}]*)\})?")
LABELS_BY = re.compile(r"\bby \(([^)]*)\)")


def samples() -> dict[str, set[str]]:
    """Every series that the services have, by name, with its labels."""
    found: dict[str, set[str]] = {}
    for modules in MODULES.values():
        for metric in (each for module in modules for each in vars(module).values()):
            if not isinstance(metric, MetricWrapperBase):
                continue
            (family,) = metric.describe()
            labels = {*metric._labelnames, *OF_PROMETHEUS}
            if family.type == "counter":
                found[f"{family.name}_total"] = labels
            elif family.type == "histogram":
                found |= {f"{family.name}_bucket": labels | {"le"}}
                found |= {f"{family.name}_{each}": labels for each in ("sum", "count")}
            else:
                found[family.name] = labels
    return found


SAMPLES = samples()


def dashboard() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return made


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


QUERIES = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
ALERTING = [rule["expr"] for rule in alerts()]


@pytest.mark.parametrize("expr", [*QUERIES, *ALERTING])
def test_what_is_asked_for_exists(expr: str) -> None:
    # What Grafana puts in place of its variable.
    promql_parser.parse(expr.replace("$__rate_interval", "5m"))
    asked = SELECTOR.findall(expr)
    assert asked
    known: set[str] = set()
    for name, selector in asked:
        assert name in SAMPLES, f"no service has {name}"
        stated = set(re.findall(r'(\w+)=~?"', selector))
        assert stated <= SAMPLES[name], f"{name} has no label {stated - SAMPLES[name]}"
        known |= SAMPLES[name]
    for labels in LABELS_BY.findall(expr):
        assert set(re.split(r",\s*", labels)) <= known


def test_every_metric_is_shown_or_rings() -> None:
    shown = {name for expr in (*QUERIES, *ALERTING) for name, _ in SELECTOR.findall(expr)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in SAMPLES}
    assert families <= {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


def test_the_dashboard_is_what_the_code_builds() -> None:
    assert DASHBOARD.read_text() == text(), "run `make dashboard`"


def test_the_dashboard_has_the_shape_that_grafana_provisions() -> None:
    made = dashboard()
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= made.keys()
    # A provisioned file has no id of the database's, and says its data source by a variable.
    assert "id" not in made
    assert [each["name"] for each in made["templating"]["list"]] == ["datasource"]
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert set(SERVICES) <= {panel["title"] for panel in panels if panel["type"] == "row"}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= WIDTH
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
        if panel["type"] == "timeseries":
            assert grid["h"] == HEIGHT
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_a_legend_names_labels_that_its_lines_have() -> None:
    named = 0
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            kept = {label for labels in LABELS_BY.findall(target["expr"]) for label in re.split(r",\s*", labels)}
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert legend <= kept, panel["title"]
            named += len(legend)
    assert named


def test_the_quotas_panel_names_a_method_that_there_is() -> None:
    service = capability_service_pb2.DESCRIPTOR.services_by_name["CapabilityService"]
    stated = {name for expr in QUERIES for name in re.findall(r'method="/([\w.]+/\w+)"', expr)}
    assert stated
    assert stated <= {f"{service.full_name}/{method.name}" for method in service.methods}


def test_alerts_say_what_to_do() -> None:
    rules = alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        kept = {label for labels in LABELS_BY.findall(rule["expr"]) for label in re.split(r",\s*", labels)}
        said = rule["annotations"]["summary"] + rule["annotations"]["description"]
        assert set(re.findall(r"\$labels\.(\w+)", said)) <= kept, rule["alert"]

"""What rings where all is well: nothing."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from autodev_cli.certs.directory import LIFETIME

REPOSITORY = Path(__file__).parents[3]
PROTOS = sorted((REPOSITORY / "protos").rglob("*_service.proto"))
METHOD = re.compile(r"((?: *//.*\n)*) *rpc (\w+)\(.*\) returns \((stream )?")


def alert(name: str) -> dict[str, Any]:
    groups = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text())["groups"]
    (found,) = (rule for group in groups for rule in group["rules"] if rule["alert"] == name)
    return dict(found)


def methods() -> dict[str, bool]:
    """Each RPC, named as metrics do, and whether it is a stream that ends UNAVAILABLE while all is well."""
    found: dict[str, bool] = {}
    for path in PROTOS:
        text = path.read_text()
        for service in re.finditer(r"^service (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            package = re.findall(r"^package (.+);", text, re.MULTILINE)[0]
            for comment, method, stream in METHOD.findall(service[2]):
                ends = bool(stream) and re.search("DRAINING|GROUP_ELSEWHERE", comment) is not None
                found[f"/{package}.{service[1]}/{method}"] = ends
    return found


def test_streams_that_end_while_all_is_well_count_neither_as_failed_nor_as_calls() -> None:
    stated = re.findall(r'method!~"([^"]+)"', alert("AutodevUnavailable")["expr"])
    assert len(stated) == 2
    assert methods()["/autodev.gateway.v1.EventService/Consume"]
    for pattern in stated:
        assert {method: bool(re.fullmatch(pattern, method)) for method in methods()} == methods()


def test_the_first_answer_that_is_a_bug_rings() -> None:
    # Its series is not there before, so that it is no increase: what was not there when the window began is asked for.
    expr = alert("AutodevBug")["expr"]
    (counter,) = set(re.findall(r"autodev_rpc_calls_total\{.+?\}", expr))
    (window,) = re.findall(r"increase\(.+?\[(\w+)\]\)", expr)
    assert f"{counter} unless {counter} offset {window})" in expr


def test_certificates_are_renewed_before_their_end_is_told() -> None:
    (seconds,) = re.findall(r"time\(\)\) < (\d+)$", alert("AutodevCertificateExpires")["expr"])
    told = timedelta(seconds=int(seconds))
    values = yaml.safe_load((REPOSITORY / "deploy/helm/autodev/values.yaml").read_text())
    (hours,) = re.findall(r"^(\d+)h$", values["certificates"]["certManager"]["renewBefore"])
    assert timedelta(hours=int(hours)) > told
    # `autodev certs keep` renews at the middle.
    assert told < LIFETIME / 2
    assert f"- time() < {seconds}`" in (REPOSITORY / "docs/identity.md").read_text()

"""What /metrics says after executions of every kind."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox import metrics
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel
from autodev_sandbox.settings import SandboxSettings
from tests.integration.sandbox.conftest import eventually, ready
from tests.integration.sandbox.service import Service, serving, within
from tests.mesh import free_ports
from tests.serving import refusal

FOREVER = "while True: pass"
SETTINGS = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE}), slots=1, spare_slots=0, max_waiting=0)


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    await (await ready("namespace")).close()
    async with serving(SETTINGS, tmp_path) as service:
        yield service


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("code", "limits", "status", "cause"),
    [
        ("1", None, "ok", None),
        ("1 / 0", None, "error", None),
        (FOREVER, within(0.2), "timeout", "timeout"),
        ("x = []\nwhile True: x.append(bytearray(1_000_000))", None, "oom", "oom"),
        ("while True: print('x' * 1000)", pb.ExecutionLimits(output_bytes=10_000), "output_limit", "output_limit"),
        ("import ctypes; ctypes.string_at(0)", None, "killed", "crashed"),
    ],
)
async def test_an_execution_is_counted_by_how_it_ended(
    service: Service, code: str, limits: pb.ExecutionLimits | None, status: str, cause: str | None
) -> None:
    ended = {"status": status, "level": "namespace"}
    before = value("autodev_sandbox_executions_total", **ended)
    killed = value("autodev_sandbox_kills_total", cause=cause or "")
    queued = value("autodev_sandbox_queue_seconds_count")
    taken = value("autodev_sandbox_take_seconds_count", level="namespace")
    ran = value("autodev_sandbox_run_seconds_count", level="namespace")
    await service.stub.Execute(pb.ExecuteRequest(code=code, limits=limits))
    assert value("autodev_sandbox_executions_total", **ended) == before + 1
    assert value("autodev_sandbox_queue_seconds_count") == queued + 1
    assert value("autodev_sandbox_take_seconds_count", level="namespace") == taken + 1
    assert value("autodev_sandbox_run_seconds_count", level="namespace") == ran + 1
    assert value("autodev_sandbox_kills_total", cause=cause or "") == killed + bool(cause)


async def test_what_is_cancelled_left_or_refused_is_counted(service: Service) -> None:
    cancelled = value("autodev_sandbox_kills_total", cause="cancelled")
    gone = value("autodev_sandbox_kills_total", cause="caller_gone")
    refused = value("autodev_sandbox_refusals_total", reason="QUEUE_FULL")
    call = asyncio.ensure_future(service.stub.Execute(pb.ExecuteRequest(code=FOREVER, execution_id="it")))
    await eventually(lambda: service.running == 1, "it runs")
    assert (await refusal(service.stub.Execute(pb.ExecuteRequest(code="1")))).reason == "QUEUE_FULL"
    assert value("autodev_sandbox_refusals_total", reason="QUEUE_FULL") == refused + 1
    await service.stub.Cancel(pb.CancelRequest(execution_id="it"))
    await call
    assert value("autodev_sandbox_kills_total", cause="cancelled") == cancelled + 1
    assert (
        await refusal(service.stub.Execute(pb.ExecuteRequest(code=FOREVER), timeout=0.3))
    ).code == "DEADLINE_EXCEEDED"
    await eventually(lambda: value("autodev_sandbox_kills_total", cause="caller_gone") == gone + 1, "it is counted")


async def test_that_nothing_works_is_told_and_not_that_a_caller_asks_for_more_than_there_is(service: Service) -> None:
    levels = service.dispatcher.levels
    metrics.show(service.dispatcher.turns, levels)
    asked = pb.ExecuteRequest(code="1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER_GVISOR)
    assert (await refusal(service.stub.Execute(asked))).reason == "ISOLATION_UNAVAILABLE"
    assert value("autodev_sandbox_ready") == 1
    (namespace,) = levels.backends
    levels.lost(namespace, BackendUnavailable("it went away"))
    assert value("autodev_sandbox_ready") == 0


async def test_the_metrics_page_shows_the_pools_and_no_tenant(tmp_path: Path) -> None:
    await (await ready("namespace")).close()
    (port,) = free_ports(1)
    async with serving(SETTINGS.model_copy(update={"metrics_port": port}), tmp_path) as service:
        metrics.show(service.dispatcher.turns, service.dispatcher.levels)
        await service.stub.Execute(pb.ExecuteRequest(code="1"))
        page = await asyncio.to_thread(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        )
    families = {family.name: family for family in text_string_to_metric_families(page)}
    pools = families["autodev_sandbox_pool_sandboxes"].samples
    assert {sample.labels["state"] for sample in pools} == set(metrics.POOL_STATES)
    assert not [sample for family in families.values() for sample in family.samples if "tenant" in sample.labels]

"""A trace span an execution, sent to a collector."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.settings import SandboxSettings
from tests.collector import Collector, collecting
from tests.integration.sandbox.conftest import ready
from tests.integration.sandbox.service import serving, struct

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "SECRET_OF_THE_CODE"


@pytest_asyncio.fixture(loop_scope="session")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


async def traced(collector: Collector, directory: Path, flags: str = "01") -> dict[str, Any]:
    """The spans of an execution and a batch, called within a trace."""
    await (await ready("namespace")).close()
    settings = SandboxSettings.model_validate(
        {"levels": frozenset({IsolationLevel.NAMESPACE}), "AUTODEV_OTLP_ENDPOINT": collector.address}
    )
    within_trace = (("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-{flags}"),)
    async with serving(settings, directory) as service:
        code = f"def f(word): return word  # {SECRET}"
        request = pb.ExecuteRequest(code=code, entry_point="f", inputs=struct(word=SECRET))
        assert (await service.stub.Execute(request, metadata=within_trace)).status == pb.EXECUTION_STATUS_OK
        batch = pb.ExecuteBatchRequest(code=code, entry_point="f", inputs=[struct(word="w")] * 3)
        async for _ in service.stub.ExecuteBatch(batch, metadata=within_trace):
            pass
    return collector.spans


async def test_an_execution_is_a_span_of_its_callers_trace(collector: Collector, tmp_path: Path) -> None:
    span = (await traced(collector, tmp_path))["sandbox.execute"]
    assert span.trace_id.hex() == TRACE_ID
    assert span.parent_span_id
    told = {each.key: each.value for each in span.attributes}
    assert told["autodev.tenant"].string_value == "tenant"
    assert told["autodev.sandbox.level"].string_value == "NAMESPACE"
    assert told["autodev.sandbox.status"].string_value == "OK"
    seconds = [told[f"autodev.sandbox.{step}_seconds"].double_value for step in ("queue", "take", "run")]
    assert all(each >= 0 for each in seconds)
    assert 0 < sum(seconds) <= (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert SECRET not in str(collector.requests)
    resource = {
        each.key: each.value.string_value for each in collector.requests[0].resource_spans[0].resource.attributes
    }
    assert (resource["service.namespace"], resource["service.name"]) == ("autodev", "sandbox")


async def test_a_batch_is_one_span(collector: Collector, tmp_path: Path) -> None:
    span = (await traced(collector, tmp_path))["sandbox.execute_batch"]
    assert span.trace_id.hex() == TRACE_ID
    assert {each.key: each.value.int_value for each in span.attributes}["autodev.sandbox.inputs"] == 3


async def test_a_caller_that_does_not_sample_is_not_recorded(collector: Collector, tmp_path: Path) -> None:
    assert await traced(collector, tmp_path, flags="00") == {}


async def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys, autodev_sandbox.__main__\nfrom autodev_runtime.spans import export_spans, span\n"
        "export_spans('sandbox', '')()\nwith span('x') as it: it.set('a', 1)\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0

"""One trace through the whole mesh: gateway, learning, sandbox, the event that comes of it, and who hears of it."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from opentelemetry import trace as opentelemetry
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.gateway.v1.event_pb2 import EVENT_TYPE_CANDIDATE_VALIDATED, EVENT_TYPE_SKILL_EXECUTED
from autodev.learning.v1 import review_service_pb2 as reviews
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev_sdk import AutoDevClient, EventWorker
from autodev_sdk.events import Handler, working
from tests.collector import Collector, Told, collecting
from tests.loop import PROMOTED, RIGHT, VALIDATED, WRONG, attempt, candidate_in, let_learn
from tests.mesh import Mesh, eventually

GROUP = "dashboard"
FLUSH_MS = "100"
IN_THE_SANDBOX = [
    "learning CLIENT autodev.sandbox.v1.SandboxService/Execute",
    "sandbox SERVER autodev.sandbox.v1.SandboxService/Execute",
    "sandbox INTERNAL sandbox.execute",
]


@dataclass
class CallersTrace:
    """A trace that a caller has begun."""

    trace_id: str
    span_id: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """As a call carries it."""
        return (("traceparent", f"00-{self.trace_id}-{self.span_id}-01"),)


def begun() -> CallersTrace:
    return CallersTrace(os.urandom(16).hex(), os.urandom(8).hex())


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


@pytest_asyncio.fixture
async def tracing_program(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The subscriber's own OpenTelemetry, which it set up itself."""
    provider = TracerProvider(resource=Resource.create({"service.name": GROUP}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=collector.address)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=int(FLUSH_MS)))
    monkeypatch.setattr(opentelemetry, "get_tracer", provider.get_tracer)
    yield
    await asyncio.to_thread(provider.shutdown)


def ancestors(spans: dict[str, Told], span_id: str) -> list[Told]:
    """From a span to the root."""
    line = []
    while span_id in spans:
        line.append(spans[span_id])
        span_id = spans[span_id].parent
    return line


def steps(spans: dict[str, Told], span_id: str) -> list[str]:
    """The same as text, from the root on."""
    return [f"{each.service} {each.kind} {each.span.name}" for each in reversed(ancestors(spans, span_id))]


def only(spans: dict[str, Told], service: str, name: str, **attributes: str) -> str:
    """The id of the one span that is so."""
    stated = {key.replace("__", "."): value for key, value in attributes.items()}
    found = [
        span_id
        for span_id, each in spans.items()
        if (each.service, each.span.name) == (service, name) and stated.items() <= each.attributes.items()
    ]
    assert len(found) == 1, [(each.service, each.span.name, each.attributes) for each in spans.values()]
    return found[0]


async def told(collector: Collector, trace: CallersTrace, *wanted: tuple[str, str]) -> dict[str, Told]:
    """The trace's spans, once services have told of these."""

    async def all_there() -> dict[str, Told]:
        spans = collector.trace(trace.trace_id)
        whole = all(ancestors(spans, span_id)[-1].parent == trace.span_id for span_id in spans)
        return spans if whole and set(wanted) <= {(each.service, each.span.name) for each in spans.values()} else {}

    return await eventually(all_there, f"the collector has {wanted}")


@dataclass
class Watched:
    """A mesh's client, an agent, and what a subscriber hears."""

    client: AutoDevClient
    collector: Collector
    agent: str
    heard: "asyncio.Queue[event_pb2.Event]"

    async def hears(self) -> event_pb2.Event:
        """The next event that the subscriber handles."""
        return await asyncio.wait_for(self.heard.get(), 60)


async def reported(watched: Watched, *events: event_pb2.Event) -> CallersTrace:
    """Attempts that are reported in a trace of their own."""
    report = begun()
    request = event_service_pb2.PublishRequest(events=events)
    await watched.client.events.Publish(request, metadata=report.metadata)
    return report


async def kept(watched: Watched, *events: event_pb2.Event) -> CallersTrace:
    """The same, once learning has handled each: of those that it handles side by side, any may be a pattern's last."""
    report = await reported(watched, *events)

    async def handled() -> bool:
        spans = watched.collector.trace(report.trace_id).values()
        by_learning = {each.attributes["messaging.message.id"] for each in spans if each.kind == "CONSUMER"}
        return by_learning == {each.id for each in events}

    await eventually(handled, "learning has handled what was reported")
    return report


async def by_events(watched: Watched) -> CallersTrace:
    """A report at the gateway leads, by events alone, to a candidate that is proved in the sandbox."""
    report = await reported(watched, attempt(watched.agent, WRONG))
    assert (await watched.hears()).traceparent.split("-")[1] == report.trace_id
    spans = await told(
        watched.collector,
        report,
        (GROUP, "process events"),
        ("sandbox", "sandbox.execute"),
        ("gateway", "publish events"),
    )
    caused = ["learning CONSUMER process events", "learning PRODUCER create events"]
    published = ["gateway SERVER autodev.gateway.v1.EventService/Publish", "gateway PRODUCER publish events"]
    heard = [*published, *caused * 3, f"{GROUP} CONSUMER process events"]
    assert steps(spans, only(spans, GROUP, "process events")) == heard
    executions = [span_id for span_id, each in spans.items() if each.span.name == "sandbox.execute"]
    assert executions
    for execution in executions:
        assert steps(spans, execution)[-4:] == ["learning CONSUMER process events", *IN_THE_SANDBOX]
        assert ancestors(spans, execution)[-1].parent == report.span_id
    return report


async def by_calls(watched: Watched) -> CallersTrace:
    """A skill is run through the gateway, and its run is heard of."""
    candidate = await candidate_in(watched.client, watched.agent, VALIDATED)
    approval = reviews.ApproveReviewRequest(review_id=candidate.review_id, reason="it is right")
    await watched.client.reviews.ApproveReview(approval)
    skill_id = (await candidate_in(watched.client, watched.agent, PROMOTED)).skill_id
    run = begun()
    request = skills.ExecuteSkillRequest(
        request_id=str(uuid4()), skill_id=skill_id, agent_id=watched.agent, call="even_sum([2, 3, 40])"
    )
    await watched.client.skills.ExecuteSkill(request, metadata=run.metadata)
    executed = await watched.hears()
    assert executed.traceparent.split("-")[1] == run.trace_id
    spans = await told(watched.collector, run, (GROUP, "process events"), ("sandbox", "sandbox.execute"))
    method = "autodev.learning.v1.SkillService/ExecuteSkill"
    through = [f"gateway SERVER {method}", f"gateway CLIENT {method}", f"learning SERVER {method}"]
    assert steps(spans, only(spans, "sandbox", "sandbox.execute")) == [*through, *IN_THE_SANDBOX]
    subscriber = only(spans, GROUP, "process events")
    assert steps(spans, subscriber) == [
        *through,
        "learning PRODUCER create events",
        f"{GROUP} CONSUMER process events",
    ]
    assert spans[subscriber].attributes["messaging.consumer.group.name"] == GROUP
    assert spans[subscriber].attributes["messaging.message.id"] == executed.id
    assert spans[only(spans, "learning", method)].attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": method,
        "rpc.response.status_code": "OK",
    }
    return run


@pytest.mark.usefixtures("tracing_program")
async def test_one_trace_goes_from_the_gateway_to_who_hears_of_it(collector: Collector, tmp_path: Path) -> None:
    settings = {
        "AUTODEV_OTLP_ENDPOINT": collector.address,
        # Whoever states no trace is not recorded: what is recorded is what the test's calls led to.
        "AUTODEV_TRACE_RATIO": "0",
        "OTEL_BSP_SCHEDULE_DELAY": FLUSH_MS,
        "AUTODEV_LEARNING_PROPOSAL_SECONDS": "15",
    }
    heard: asyncio.Queue[event_pb2.Event] = asyncio.Queue()

    async def hear(event: event_pb2.Event) -> None:
        heard.put_nowait(event)

    handlers: dict[event_pb2.EventType.ValueType, Handler]
    handlers = {EVENT_TYPE_CANDIDATE_VALIDATED: hear, EVENT_TYPE_SKILL_EXECUTED: hear}
    async with (
        Mesh(tmp_path, settings=settings) as mesh,
        mesh.client() as client,
        working(EventWorker(client.events, GROUP, handlers)),
    ):
        watched = Watched(client, collector, f"agent-{uuid4().hex[:8]}", heard)
        await let_learn(client, watched.agent, proposers=["case_bank"])
        right, wrong = attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS), attempt(watched.agent, WRONG)
        earlier = await kept(watched, right, wrong)
        report = await by_events(watched)
        run = await by_calls(watched)
    recorded = {each.span.trace_id.hex() for each in collector.told()}
    assert recorded == {earlier.trace_id, report.trace_id, run.trace_id}
    assert "even_sum" not in str(collector.requests)

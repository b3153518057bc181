"""The measurements. Both sides of a ratio are taken in turns, so that whatever else the machine does falls on both."""

import contextlib
import statistics
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.gateway.v1.event_service_pb2 import START_AT_EARLIEST, SubscribeRequest
from autodev_sdk import AutoDevClient
from benchmarks import capability
from benchmarks.figures import Bar, Row, Side, judged, missing
from benchmarks.mesh import engines, growth, raw_grpc
from benchmarks.mesh.engines import NotHere, RawJetStream
from benchmarks.mesh.reservation import Reserving
from benchmarks.mesh.traffic import (
    BATCH_EVENTS,
    CALLS_IN_FLIGHT,
    EVENTS_A_CALL,
    event,
    fan_out,
    follow,
    latencies,
    publish,
    publish_stream,
)
from tests.postgresql import TestDatabase

RAW_JETSTREAM, RAW_STREAM = "raw JetStream", "raw stream"
SUBSCRIBERS: Final = 100
TAIL_BYTES: Final = 64 * 1024 * 1024
LITTLE_TAIL_BYTES: Final = 1024 * 1024
LATENCY_RATE: Final = 1000.0

BARS: Final = {
    "publish-sqlite": Bar("Publish on SQLite", Side.AT_LEAST, 20_000, "events/s"),
    "publish-postgresql": Bar("Publish on PostgreSQL", Side.AT_LEAST, 20_000, "events/s"),
    "stream-sqlite": Bar("PublishStream on SQLite", Side.AT_LEAST, 20_000, "events/s"),
    "stream-postgresql": Bar("PublishStream on PostgreSQL", Side.AT_LEAST, 20_000, "events/s"),
    "jetstream-sqlite": Bar("Publish on SQLite", Side.AT_LEAST, 1.0, "×", RAW_JETSTREAM),
    "jetstream-postgresql": Bar("Publish on PostgreSQL", Side.AT_LEAST, 1.0, "×", RAW_JETSTREAM),
    "jetstream": Bar("Publish on JetStream", Side.AT_LEAST, 1.0, "×", RAW_JETSTREAM),
    "subscribe-one": Bar("Subscribe, one subscriber, from memory", Side.AT_LEAST, 0.3, "×", RAW_STREAM),
    "subscribe-stored": Bar("Subscribe, one subscriber, from the database", Side.AT_LEAST, 0.3, "×", RAW_STREAM),
    "subscribe-postgresql": Bar("Subscribe, one subscriber, from PostgreSQL", Side.AT_LEAST, 0.3, "×", RAW_STREAM),
    "subscribe-hundred": Bar("Subscribe, 100 subscribers, in all", Side.AT_LEAST, 0.5, "×", RAW_STREAM),
    "latency-p50": Bar("publish to subscriber at 1,000/s, p50", Side.AT_MOST, 5, "ms"),
    "latency-p99": Bar("publish to subscriber at 1,000/s, p99", Side.AT_MOST, 25, "ms"),
    "check": Bar("CheckCapability", Side.AT_LEAST, 0.7, "×", "no-op RPC"),
    "reservation-sqlite": Bar("ReserveUsage on SQLite", Side.AT_LEAST, 0.7, "×", "the statements alone"),
    "reservation-postgresql": Bar("ReserveUsage on PostgreSQL", Side.AT_LEAST, 0.7, "×", "the statements alone"),
    "growth-resume": Bar("Subscribe resumed at a cursor", Side.AT_MOST, 1.5, "×", "the smallest"),
    "growth-top": Bar("ListTopVariants", Side.AT_MOST, 1.5, "×", "the smallest"),
    "growth-lineage": Bar("GetLineage of 20 ancestors", Side.AT_MOST, 1.5, "×", "the smallest"),
    "growth-list": Bar("ListEpisodes, of all and of a rare agent", Side.AT_MOST, 1.5, "×", "the smallest"),
}
PUBLISHING: Final = {
    "sqlite": ("publish-sqlite", "stream-sqlite", "jetstream-sqlite"),
    "postgresql": ("publish-postgresql", "stream-postgresql", "jetstream-postgresql"),
    "jetstream": ("jetstream",),
}
RESERVING: Final = ("reservation-sqlite", "reservation-postgresql")
SUBSCRIBING: Final = ("subscribe-one", "subscribe-stored", "subscribe-hundred")
LATENCIES: Final = ("latency-p50", "latency-p99")
GROWTH: Final = ("growth-resume", "growth-top", "growth-lineage", "growth-list")


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    rounds: int
    published: int
    raw_published: int
    delivered: int
    hundred_messages: int
    raw_messages: int
    latency_s: float
    check_rounds: int
    check_calls: int
    reserved: int
    sizes: tuple[int, int, int]
    asked: int


FULL: Final = Effort(5, 40_000, 10_000, 50_000, 40, 1500, 8, 8, 2000, 5000, (10_000, 100_000, 1_000_000), 60)
QUICK: Final = Effort(3, 10_000, 3000, 12_000, 10, 300, 2, 3, 500, 200, (1000, 10_000, 100_000), 20)


class Measurement:
    """One run: the rows that are asked for, by name."""

    def __init__(self, names: Collection[str], effort: Effort) -> None:
        self.names = names
        self.effort = effort
        self.rows: dict[str, Row] = {}

    async def run(self) -> None:
        """Measure one group after the other."""
        groups: list[tuple[Sequence[str], Callable[[], Coroutine[Any, Any, None]]]] = [
            (PUBLISHING["sqlite"], self.publish_on_sqlite),
            (PUBLISHING["postgresql"], self.publish_on_postgresql),
            (PUBLISHING["jetstream"], self.publish_on_jetstream),
            (SUBSCRIBING, self.subscribe),
            (("subscribe-postgresql",), self.subscribe_on_postgresql),
            (LATENCIES, self.latency),
            (("check",), self.check),
            (RESERVING, self.reservation),
            (GROWTH, self.growth),
        ]
        for names, measure in groups:
            if not any(name in self.names for name in names):
                continue
            try:
                await measure()
            except NotHere as error:
                for name in names:
                    self.add(name, missing(BARS[name], str(error)))

    def add(self, name: str, row: Row) -> None:
        """Note a row that was asked for."""
        if name in self.names and name not in self.rows:
            self.rows[name] = row
            print(f"  {row.what}: {row.measured or row.verdict}", flush=True)

    async def publish_on_sqlite(self) -> None:
        """On the file, as `autodev up` has it."""
        await self._publish("sqlite", {})

    async def publish_on_postgresql(self) -> None:
        """On a server of its own whose commits are on disk."""
        with engines.postgresql() as server, server.database() as database:
            await self._publish("postgresql", engines.on(database, "gateway"))

    async def publish_on_jetstream(self) -> None:
        """On a NATS server of its own that forces every message to disk."""
        with engines.jetstream() as url:
            await self._publish("jetstream", engines.jetstream_settings(url))

    async def _publish(self, engine: str, settings: Mapping[str, str]) -> None:
        absolute, relative = PUBLISHING[engine][0], PUBLISHING[engine][-1]
        streamed = f"stream-{engine}"
        rates: list[float] = []
        streams: list[float] = []
        raw: list[float] = []
        floor: list[float] = []
        async with AsyncExitStack() as stack:
            bare = None
            if relative in self.names:
                with contextlib.suppress(NotHere):
                    bare = RawJetStream(stack.enter_context(engines.jetstream()))
            nothing = stack.enter_context(raw_grpc.serving())
            mesh = await stack.enter_async_context(engines.gateway(dict(settings)))
            client = await stack.enter_async_context(mesh.client())
            for turn in range(self.effort.rounds + 1):
                rate = await publish(client, self.effort.published)
                if turn:  # The first round warms up.
                    rates.append(rate)
                    floor.append(await _floor(nothing, self.effort.published))
                if streamed in self.names and turn:
                    streams.append(await publish_stream(client, self.effort.published))
                if bare is not None and turn:
                    raw.append(await bare.publish(self.effort.raw_published))
        note = f"calls of as many bytes that do nothing carry {spread(floor)}"
        if absolute != relative:
            self.add(absolute, judged(BARS[absolute], spread(rates), "", statistics.median(rates), [note]))
        if streams:
            self.add(streamed, judged(BARS[streamed], spread(streams), "", statistics.median(streams)))
        if raw:
            self.add(relative, judged(BARS[relative], spread(rates), spread(raw), ratio(rates, raw)))
        else:
            self.add(relative, missing(BARS[relative], "nats-server is not installed"))

    async def subscribe(self) -> None:
        """Readers of what was published: at the end of the log, at its start, and many at once."""
        effort = self.effort
        found: dict[str, list[float]] = {name: [] for name in SUBSCRIBING}
        one: list[float] = []
        hundred: list[float] = []
        settings = {"AUTODEV_GATEWAY_TAIL_BYTES": str(TAIL_BYTES)}
        async with AsyncExitStack() as stack:
            raw = stack.enter_context(raw_grpc.serving())
            mesh = await stack.enter_async_context(engines.gateway(settings))
            client = await stack.enter_async_context(mesh.client())
            # What the tail holds, and before it as much again as is delivered from the database.
            in_memory = TAIL_BYTES // 1024 // 10 * 10
            await publish(client, in_memory + effort.delivered)
            start = SubscribeRequest(at=START_AT_EARLIEST)
            cursors = await _cursors(client, in_memory + effort.delivered)
            at_end = min(effort.delivered, in_memory // 2)
            late = SubscribeRequest(after_cursor=cursors[-at_end - 1])
            many = [await stack.enter_async_context(mesh.client()) for _ in range(SUBSCRIBERS)]
            for _ in range(effort.rounds):
                one.append(await raw_grpc.rate(raw, 1, effort.raw_messages))
                found["subscribe-stored"].append(await follow([client], start, effort.delivered))
                found["subscribe-one"].append(await follow([client], late, at_end))
                hundred.append(await raw_grpc.rate(raw, SUBSCRIBERS, effort.hundred_messages))
                count = (1 + effort.hundred_messages) * BATCH_EVENTS
                after, through = cursors[-count - 1], cursors[-1]
                found["subscribe-hundred"].append(await fan_out(many, after, through, count))
        for name in ("subscribe-one", "subscribe-stored"):
            self.add(name, judged(BARS[name], spread(found[name]), spread(one), ratio(found[name], one)))
        name = "subscribe-hundred"
        note = f"beside one raw stream: {ratio(found[name], one):.2f} ×"
        self.add(name, judged(BARS[name], spread(found[name]), spread(hundred), ratio(found[name], hundred), [note]))

    async def subscribe_on_postgresql(self) -> None:
        """A reader of what is no longer in memory, on a server of its own."""
        effort, name = self.effort, "subscribe-postgresql"
        found: list[float] = []
        one: list[float] = []
        async with AsyncExitStack() as stack:
            raw = stack.enter_context(raw_grpc.serving())
            database = stack.enter_context(stack.enter_context(engines.postgresql()).database())
            settings = {"AUTODEV_GATEWAY_TAIL_BYTES": str(LITTLE_TAIL_BYTES), **engines.on(database, "gateway")}
            mesh = await stack.enter_async_context(engines.gateway(settings))
            client = await stack.enter_async_context(mesh.client())
            await publish(client, effort.delivered + 2 * LITTLE_TAIL_BYTES // 1024 // 10 * 10)
            for _ in range(effort.rounds):
                one.append(await raw_grpc.rate(raw, 1, effort.raw_messages))
                found.append(await follow([client], SubscribeRequest(at=START_AT_EARLIEST), effort.delivered))
        self.add(name, judged(BARS[name], spread(found), spread(one), ratio(found, one)))

    async def latency(self) -> None:
        """From a call of Publish to the subscriber's message: of each round its percentiles, of those the medians."""
        found: dict[str, list[float]] = {name: [] for name in LATENCIES}
        count = 0
        async with engines.gateway() as mesh, mesh.client() as client:
            await latencies(client, LATENCY_RATE, 1.0)
            for _ in range(self.effort.rounds):
                taken = await latencies(client, LATENCY_RATE, self.effort.latency_s)
                count += len(taken)
                percentiles = statistics.quantiles(taken, n=100)
                for name, place in zip(LATENCIES, (49, 98), strict=True):
                    found[name].append(percentiles[place] * 1000)
        for name, each in found.items():
            figure = f"{count:,} events in {len(each)} rounds ({min(each):.2f} to {max(each):.2f} ms)"
            self.add(name, judged(BARS[name], figure, "", statistics.median(each)))

    async def check(self) -> None:
        """A check against an RPC that does nothing, on the same bootstrap."""
        no_op, checks = await capability.rates(self.effort.check_rounds, self.effort.check_calls)
        self.add("check", judged(BARS["check"], spread(checks), spread(no_op), ratio(checks, no_op)))

    async def reservation(self) -> None:
        """Reserving by calls against the bare statements in the same database."""
        await self._reserve("reservation-sqlite", None)
        if "reservation-postgresql" in self.names:
            with engines.postgresql() as server, server.database() as database:
                await self._reserve("reservation-postgresql", database)

    async def _reserve(self, name: str, database: TestDatabase | None) -> None:
        calls: list[float] = []
        alone: list[float] = []
        floor: list[float] = []
        commits: list[float] = []
        settings = {} if database is None else engines.on(database, "gateway", "capability")
        async with AsyncExitStack() as stack:
            nothing = stack.enter_context(raw_grpc.serving())
            mesh = await stack.enter_async_context(engines.gateway(settings, ("gateway", "capability")))
            stub = CapabilityServiceStub(await stack.enter_async_context(mesh.channel("capability")))
            reserving = Reserving(mesh, stub, database)
            await reserving.allow()
            for turn in range(self.effort.rounds + 1):
                rate = await reserving.rate(self.effort.reserved)
                bare = await reserving.database_rate(self.effort.reserved)
                if not turn:
                    await reserving.counted()
                else:
                    calls.append(rate)
                    alone.append(bare)
                    commits.append(await reserving.commit_rate(self.effort.reserved // 4))
                    floor.append(await raw_grpc.calls_rate(nothing, b"", CALLS_IN_FLIGHT, self.effort.reserved))
        notes = [f"calls that do nothing: {spread(floor)}", f"CommitUsage: {spread(commits)}"]
        self.add(name, judged(BARS[name], spread(calls), spread(alone), ratio(calls, alone), notes))

    async def growth(self) -> None:
        """The same questions to tables of each size."""
        async with AsyncExitStack() as stack:
            meshes = [await stack.enter_async_context(growth.grown(rows)) for rows in self.effort.sizes]
            for name in GROWTH:
                if name in self.names:
                    least, *larger = await growth.medians(meshes, name, self.effort.asked)
                    figure = " / ".join(f"{each * 1000:.2f}" for each in larger) + " ms"
                    sizes = " / ".join(f"{rows:,}" for rows in self.effort.sizes[1:])
                    note = f"at {sizes} rows; the smallest has {self.effort.sizes[0]:,}"
                    row = judged(BARS[name], figure, f"{least * 1000:.2f} ms", max(larger) / least, [note])
                    self.add(name, row)


async def _floor(address: str, published: int) -> float:
    """Events a second of calls of the same size that do nothing."""
    request = b"".join(event().SerializeToString() for _ in range(EVENTS_A_CALL))
    return EVENTS_A_CALL * await raw_grpc.calls_rate(address, request, CALLS_IN_FLIGHT, published // EVENTS_A_CALL)


async def _cursors(client: AutoDevClient, count: int) -> list[str]:
    """The cursors of so many events."""
    stream = client.events.Subscribe(SubscribeRequest(at=START_AT_EARLIEST, max_batch_events=BATCH_EVENTS))
    cursors: list[str] = []
    async for response in stream:
        cursors += [each.cursor for each in response.events]
        if len(cursors) >= count:
            break
    stream.cancel()
    return cursors


def ratio(measured: Sequence[float], denominators: Sequence[float]) -> float:
    """Of the medians."""
    return statistics.median(measured) / statistics.median(denominators)


def spread(rates: Sequence[float]) -> str:
    """The median with the least and the most."""
    return f"{statistics.median(rates):,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f})"

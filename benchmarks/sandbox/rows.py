"""The measurements. Both sides of a ratio are taken in turns, so that whatever else the machine does falls on both."""

import asyncio
import statistics
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from autodev_sandbox import rootfs
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.execution import Execution, IsolationLevel
from autodev_sandbox.running import run_on
from benchmarks.figures import Bar, Row, Side, judged, missing, ms, spread_ms, spread_rate
from benchmarks.sandbox import bare
from benchmarks.sandbox.engine import Engine
from benchmarks.sandbox.footprint import Footprint, footprint
from benchmarks.sandbox.service import PROGRAM, NotHere, Service, serving

CLIENTS: Final = 8
BATCH_INPUTS: Final = 1000
SETTLING_EXECUTIONS: Final = 500
"""Before what a service holds is looked at for the first time; of containers a tenth."""
# A pool of one size, so that what it holds before and after can be compared.
FIXED_POOL: Final = {
    f"{level}_POOL_{bound}": "4" for level in ("NAMESPACE", "CONTAINER") for bound in ("FLOOR", "CEILING")
}
WITHOUT_POOL: Final = {"NAMESPACE_POOL_FLOOR": "0", "NAMESPACE_POOL_CEILING": "0"}

BARE, RAW = "bare python", "create+start+remove"
BARS: Final = {
    "container-pooled": Bar("CONTAINER, pooled, one at a time, p50", Side.AT_MOST, 0.8, "×", BARE),
    "namespace-pooled": Bar("NAMESPACE, pooled, one at a time, p50", Side.AT_MOST, 0.6, "×", BARE),
    "namespace-cold": Bar("NAMESPACE, cold, p50, without the call", Side.AT_MOST, 2.0, "×", BARE),
    "namespace-sustained": Bar("NAMESPACE, sustained, 8 clients", Side.AT_LEAST, 1.2, "×", BARE),
    "container-sustained": Bar("CONTAINER, sustained, 8 clients", Side.AT_LEAST, 0.9, "×", RAW),
    "batch": Bar("ExecuteBatch, 1,000 inputs, shared interpreter", Side.AT_LEAST, 5000, "inputs/s"),
    "namespace-in-a-row": Bar("NAMESPACE, executions in a row", Side.AT_MOST, 0, "kinds of growth"),
    "container-in-a-row": Bar("CONTAINER, executions in a row", Side.AT_MOST, 0, "kinds of growth"),
}
LATENCIES: Final = ("container-pooled", "namespace-pooled", "namespace-cold")


async def cold_s(backend: NamespaceBackend) -> float:
    """Start a sandbox for one execution, and run it. Returns the seconds to its outcome."""
    started_s = time.perf_counter()
    outcome = await run_on(backend, Execution(PROGRAM, "f"))
    seconds = time.perf_counter() - started_s
    if outcome.value != 1:
        raise AssertionError(f"an execution ended wrong: {outcome}")
    return seconds


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    warm_up_calls: int
    rounds: int
    engine_every: int
    """Every so many rounds `docker run` and `docker exec` have a turn."""
    windows: int
    namespace_s: float
    container_s: float
    batches: int
    namespace_in_a_row: int
    container_in_a_row: int


FULL: Final = Effort(20, 200, 10, 7, 4.0, 9.0, 15, 10_000, 500)
QUICK: Final = Effort(5, 30, 10, 3, 2.0, 5.0, 5, 500, 30)


class Measurement:
    """One run: the rows that are asked for, by name, and the floor beside them."""

    def __init__(self, names: Collection[str], effort: Effort) -> None:
        self.names = names
        self.effort = effort
        self.rows: dict[str, Row] = {}
        self.floor: dict[str, str] = {}

    async def run(self) -> None:
        """Measure one group after the other."""
        if any(name in self.names for name in LATENCIES):
            await self.latencies()
        for name, measure in (
            ("namespace-sustained", self.namespace_sustained),
            ("container-sustained", self.container_sustained),
            ("batch", self.batch),
            ("namespace-in-a-row", self.namespace_in_a_row),
            ("container-in-a-row", self.container_in_a_row),
        ):
            if name in self.names:
                try:
                    await measure(BARS[name])
                except NotHere as error:
                    self.add(name, missing(BARS[name], str(error)))
        print()
        for what, figure in self.floor.items():
            print(f"{what:62} {figure}")

    def add(self, name: str, row: Row) -> None:
        self.rows[name] = row
        print(f"  {row.what}: {row.measured or row.verdict}", flush=True)

    async def latencies(self) -> None:
        """One call at a time of each kind, in turns."""
        async with AsyncExitStack() as stack:
            services: dict[str, Service] = {}
            for name, level, settings in (
                ("container-pooled", IsolationLevel.CONTAINER, None),
                ("namespace-pooled", IsolationLevel.NAMESPACE, None),
                ("namespace-cold", IsolationLevel.NAMESPACE, WITHOUT_POOL),
            ):
                if name in self.names:
                    try:
                        services[name] = await stack.enter_async_context(serving(level, settings))
                    except NotHere as error:
                        self.add(name, missing(BARS[name], str(error)))
            engine, warm, backend = None, "", None
            if "namespace-cold" in services:
                backend = NamespaceBackend(rootfs.default_cache(), floor=0, ceiling=0)
                stack.push_async_callback(backend.close)
                await backend.probe()
            if "container-pooled" in services:
                engine = stack.enter_context(Engine.connect())
                await services["container-pooled"].rested()
                engine.imitate()
                warm = stack.enter_context(engine.warm())
            if services:
                await self.take_turns(services, backend, engine, warm)

    async def take_turns(
        self, services: dict[str, Service], backend: NamespaceBackend | None, engine: Engine | None, warm: str
    ) -> None:
        found: dict[str, list[float]] = {name: [] for name in services}
        starts: list[float] = []
        calls: list[float] = []
        runs: list[float] = []
        execs: list[float] = []
        inner: list[float] = []
        for turn in range(-self.effort.warm_up_calls, self.effort.rounds):
            if turn == 0:
                for each in (*found.values(), starts, calls, runs, execs, inner):
                    each.clear()
            for name, service in services.items():
                # A sandbox is waiting, and nothing else is at work while the call is.
                await asyncio.gather(*(each.rested() for each in services.values()))
                starts.append(bare.start_s())
                calls.append(await service.no_op())
                found[name].append(await service.execute())
            if backend:
                starts.append(bare.start_s())
                inner.append(await cold_s(backend))
            if engine and turn % self.effort.engine_every == 0:
                runs.append(engine.run_s())
                execs.append(engine.exec_s(warm))
        self.floor["bare python3 -I -S -c 'print(1)'"] = spread_ms(starts)
        self.floor["a gRPC call that runs nothing (GetSandboxStatus)"] = spread_ms(calls)
        if engine:
            self.floor["docker exec into a warm container"] = spread_ms(execs)
            self.floor["docker run with all the flags (create, start, wait, remove)"] = spread_ms(runs)
        if backend:
            # Cold is what a sandbox takes to start and run. What a call adds to it is in every other row.
            self.floor["NAMESPACE, cold, through gRPC"] = spread_ms(found["namespace-cold"])
            found["namespace-cold"] = inner
        for name, seconds in found.items():
            ratio = statistics.median(seconds) / statistics.median(starts)
            self.add(name, judged(BARS[name], ms(seconds), ms(starts), ratio))

    async def namespace_sustained(self, bar: Bar) -> None:
        """Executions a second against interpreters a second."""
        starts: list[float] = []
        rates: list[float] = []
        async with serving(IsolationLevel.NAMESPACE) as service:
            window_s = self.effort.namespace_s
            for _ in range(self.effort.windows):
                starts.append(bare.starts_a_second(CLIENTS, window_s / 4, window_s))
                rates.append(await service.executions_a_second(CLIENTS, window_s / 4, window_s))
                await service.rested()
        self.add("namespace-sustained", rated(bar, rates, starts))

    async def container_sustained(self, bar: Bar) -> None:
        """Executions a second against containers a second."""
        cycles: list[float] = []
        rates: list[float] = []
        async with serving(IsolationLevel.CONTAINER) as service:
            await service.rested()
            window_s = self.effort.container_s
            with Engine.connect() as engine:
                engine.imitate()
                for _ in range(self.effort.windows):
                    cycles.append(engine.cycles_a_second(CLIENTS, window_s / 3, window_s))
                    rates.append(await service.executions_a_second(CLIENTS, window_s / 3, window_s))
                    await service.rested()
        self.add("container-sustained", rated(bar, rates, cycles))

    async def batch(self, bar: Bar) -> None:
        """Inputs a second of one call."""
        async with serving(IsolationLevel.NAMESPACE) as service:
            await service.batch_s(BATCH_INPUTS)
            seconds = [await service.batch_s(BATCH_INPUTS) for _ in range(self.effort.batches)]
        self.add("batch", judged(bar, ms(seconds), "", BATCH_INPUTS / statistics.median(seconds)))

    async def namespace_in_a_row(self, bar: Bar) -> None:
        """Many executions: nothing may pile up."""
        async with serving(IsolationLevel.NAMESPACE, FIXED_POOL) as service:
            await self.in_a_row("namespace-in-a-row", bar, service, None, self.effort.namespace_in_a_row)

    async def container_in_a_row(self, bar: Bar) -> None:
        """Many executions: nothing may pile up, in the engine neither."""
        async with serving(IsolationLevel.CONTAINER, FIXED_POOL) as service:
            with Engine.connect() as engine:
                await self.in_a_row("container-in-a-row", bar, service, engine, self.effort.container_in_a_row)

    async def in_a_row(self, name: str, bar: Bar, service: Service, engine: Engine | None, executions: int) -> None:
        for _ in range(SETTLING_EXECUTIONS if engine is None else SETTLING_EXECUTIONS // 10):
            await service.execute()
        before = await held(service, engine)
        for _ in range(executions):
            await service.execute()
        after = await held(service, engine)
        grown = before.growth_to(after)
        notes = [before.to(after), *(["more than before: " + ", ".join(grown)] if grown else [])]
        self.add(name, judged(bar, f"{executions:,}", "", float(len(grown)), notes))


def rated(bar: Bar, rates: list[float], denominators: list[float]) -> Row:
    ratio = statistics.median(rates) / statistics.median(denominators)
    return judged(bar, spread_rate(rates), spread_rate(denominators), ratio)


async def held(service: Service, engine: Engine | None) -> Footprint:
    """The service's footprint at rest."""
    await service.rested()
    return footprint(service.pid, engine.sandboxes(service.pid) if engine else 0)

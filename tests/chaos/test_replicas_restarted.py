"""Two replicas of each service, restarted one after the other as for an upgrade, and held up one at a time.

Nobody who calls by the client sees a restart: calls are made again by its service config, streams by `follow` and by
`EventWorker`. An experiment's stream ends with DRAINING, and is called for again.
"""

import asyncio
import contextlib
import itertools
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import memento_service_pb2 as memento
from autodev.learning.v1.evolver_service_pb2_grpc import EvolverServiceStub
from autodev_runtime.identity import service_identity
from autodev_sdk import AutoDevClient
from autodev_sdk.events import EventWorker, Handler, follow, working
from tests.chaos import readback
from tests.chaos.load import events_of, opened
from tests.fleet import Fleet, Replica
from tests.mesh import TENANT, eventually
from tests.postgresql import Server
from tests.storage import Storage, Storages

ORDER = ("sandbox", "capability", "fitness", "learning", "gateway")
"""Those that are asked before those who ask (docs/operations.md)."""
REPLICAS = 2
AGENT = "ada"
END_S = 20.0
"""Within which a replica ends that is told to: its calls have ten seconds."""
CALL_S = 20.0
CONNECTED_S = 2.0
"""Within which clients have connected again: they try once a second."""
FREEZES = (1, 2, 1, 2)
FREEZE_S = 10.0
"""A replica that is stopped in a transaction may hold the other one up for as long."""
TAKEN_UP_S = 60.0


@pytest.fixture
def storage(postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    with Storages(postgresql).new(tmp_path) as made:
        yield made


class Load:
    """What goes on meanwhile. Every call must succeed."""

    def __init__(self, client: AutoDevClient) -> None:
        self._client = client
        self.acknowledged: dict[str, str] = {}
        self.followed: list[event_pb2.Event] = []
        self.delivered: set[str] = set()
        self.used: list[str] = []
        self.variants: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call and follow within the block; raises what failed."""
        kinds: dict[event_pb2.EventType.ValueType, Handler] = {event_pb2.EVENT_TYPE_TASK_FAILED: self._note}
        calls = [
            asyncio.ensure_future(self._again(each)) for each in (self._publish, self._use, self._spawn, self._list)
        ]
        following = asyncio.ensure_future(self._follow())
        async with working(EventWorker(self._client.events, "audit", kinds)):
            yield
            for call in calls:
                call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
            await eventually(self._all_arrived, "what was published is followed and consumed")
        following.cancel()
        assert isinstance((await asyncio.gather(following, return_exceptions=True))[0], asyncio.CancelledError)

    async def _again(self, call: Callable[[int], Awaitable[None]]) -> None:
        for number in itertools.count():
            # To its end, so that what was done is known.
            await asyncio.shield(call(number))
            await asyncio.sleep(0.2)

    async def _all_arrived(self) -> bool:
        followed = {event.id for event in self.followed}
        return self.acknowledged.keys() <= followed and self.acknowledged.keys() <= self.delivered

    async def _note(self, event: event_pb2.Event) -> None:
        self.delivered.add(event.id)

    async def _follow(self) -> None:
        request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_EARLIEST)
        async for answer in follow(self._client.events, request):
            self.followed.extend(answer.events)

    async def _publish(self, number: int) -> None:
        event = events_of(f"agent-{number}", failures=1)[0]
        request = event_service_pb2.PublishRequest(events=[event])
        answer = await self._client.events.Publish(request, timeout=CALL_S)
        self.acknowledged[event.id] = answer.cursors[0]

    async def _use(self, number: int) -> None:
        reserve = capability.ReserveUsageRequest(
            request_id=f"use-{number}", agent_id=AGENT, capability="auto_dev.alpha_evolver"
        )
        reserved = (await self._client.capability.ReserveUsage(reserve, timeout=CALL_S)).reservation
        commit = capability.CommitUsageRequest(reservation_id=reserved.id)
        await self._client.capability.CommitUsage(commit, timeout=CALL_S)
        self.used.append(reserved.id)

    async def _spawn(self, number: int) -> None:
        request = evolver.SpawnWorkflowVariantRequest(request_id=f"spawn-{number}", agent_id=AGENT)
        request.workflow_definition.update({"steps": [str(number)]})
        self.variants.append((await self._client.evolver.SpawnWorkflowVariant(request, timeout=CALL_S)).variant_id)

    async def _list(self, _: int) -> None:
        await self._client.memento.ListCandidates(memento.ListCandidatesRequest(), timeout=CALL_S)
        await self._client.capability.ListAgents(capability.ListAgentsRequest(), timeout=CALL_S)


async def test_replicas_restarted_one_after_the_other_are_missed_by_nobody(storage: Storage) -> None:
    async with Fleet(storage.directory, storage.settings, replicas=REPLICAS) as fleet, fleet.client() as client:
        await opened(client, [AGENT])
        load, request = Load(client), _request(iterations=1000)
        experiment = asyncio.ensure_future(_follow_experiment(client, request))
        async with load.running():
            for service in ORDER:
                for number in range(1, REPLICAS + 1):
                    await _restart(fleet, f"{service}-{number}")
        assert not experiment.done(), experiment.exception()
        experiment.cancel()
        assert (await asyncio.gather(experiment, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        assert {each.name: each.endings for each in fleet.replicas.values()} == {name: [0] for name in fleet.replicas}
        broken = [
            line for each in fleet.replicas.values() for line in each.log.read_text().splitlines() if " ERROR " in line
        ]
        assert broken == []

        log = await readback.check_log(client, load.acknowledged)
        assert [event.id for event in load.followed] == [event.id for event in log][: len(load.followed)]
        readback.check_steps(log)
        await readback.check_no_dead_letters(storage)
        used = await storage.rows(
            "capability", "SELECT granted FROM quota_counters WHERE capability = 'auto_dev.alpha_evolver'"
        )
        # One more is the experiment's.
        assert [row[0] for row in used] == [len(set(load.used)) + 1]
        made = await storage.rows("fitness", "SELECT id FROM workflow_variants")
        assert sorted(load.variants) == sorted(row[0] for row in made)


async def test_an_experiment_goes_on_at_another_replica_when_its_own_is_gone_for_good(storage: Storage) -> None:
    async def steps() -> int:
        return await _steps(storage)

    async with Fleet(storage.directory, storage.settings, replicas=REPLICAS) as fleet, fleet.client() as client:
        await opened(client, [AGENT])
        at_work = asyncio.ensure_future(_at_replica(fleet, 1, _request(iterations=40)))
        assert await _grown(steps, by=3, within_s=TAKEN_UP_S)
        # Nobody calls the other one, which finds the experiment by itself.
        fleet.signal("learning-1", signal.SIGSTOP)
        await _lost_claims(storage)
        assert await _grown(steps, by=3, within_s=TAKEN_UP_S)
        fleet.signal("learning-1", signal.SIGCONT)
        last = await at_work
        assert (last.state, last.stop_reason) == (evolver.EXPERIMENT_STATE_SUCCEEDED, "iterations")
        assert [step.iteration for step in last.steps] == list(range(1, 41))


async def test_replicas_share_an_experiment_by_leaving_it_to_one(storage: Storage) -> None:
    async with Fleet(storage.directory, storage.settings, replicas=REPLICAS) as fleet, fleet.client() as client:
        await opened(client, [AGENT])
        both = [_at_replica(fleet, number, _request(iterations=10)) for number in range(1, REPLICAS + 1)]
        for last in await asyncio.gather(*both):
            assert [step.iteration for step in last.steps] == list(range(1, 11))
        worked = [text for text in map(_log, fleet.replicas.values()) if "is over: iterations" in text]
        assert len(worked) == 1


async def test_an_experiment_goes_on_at_a_replica_that_the_other_has_overtaken(storage: Storage) -> None:
    async with Fleet(storage.directory, storage.settings, replicas=REPLICAS) as fleet, fleet.client() as client:
        await opened(client, [AGENT])
        request = _request(iterations=60)

        async def steps() -> int:
            return await _steps(storage)

        at_work = [asyncio.ensure_future(_at_replica(fleet, number, request)) for number in range(1, REPLICAS + 1)]
        for number in FREEZES:
            await _grown(steps, by=3, within_s=60.0)
            fleet.signal(f"learning-{number}", signal.SIGSTOP)
            await _lost_claims(storage)
            await _grown(steps, by=3, within_s=FREEZE_S)
            fleet.signal(f"learning-{number}", signal.SIGCONT)
        for last in await asyncio.gather(*at_work):
            assert (last.state, last.stop_reason) == (evolver.EXPERIMENT_STATE_SUCCEEDED, "iterations")
            assert [step.iteration for step in last.steps] == list(range(1, 61))
        announced = Counter(
            each.experiment_progressed.iterations_done
            for each in await readback.everything(client)
            if each.HasField("experiment_progressed") and not each.experiment_progressed.ended
        )
        assert announced == dict.fromkeys(range(1, 61), 1)


def _request(iterations: int) -> evolver.RunResearchExperimentRequest:
    return evolver.RunResearchExperimentRequest(
        request_id="experiment",
        agent_id=AGENT,
        budget=evolver.ExperimentBudget(max_iterations=iterations),
        plan=evolver.SearchPlan(seed=7, batch=4, islands=1, patience=1000),
        score=evolver.ScoreFunction(name="minimise-waves"),
    )


async def _follow_experiment(client: AutoDevClient, request: evolver.RunResearchExperimentRequest) -> None:
    """Follow it for ever: it never goes back."""
    steps = 0
    while True:
        try:
            async for answer in client.evolver.RunResearchExperiment(request):
                assert answer.experiment.state == evolver.EXPERIMENT_STATE_RUNNING, answer.experiment.stop_reason
                assert len(answer.experiment.steps) >= steps
                steps = len(answer.experiment.steps)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise


async def _at_replica(fleet: Fleet, number: int, request: evolver.RunResearchExperimentRequest) -> evolver.Experiment:
    """Have a replica run it, whatever the other one does. Returns what it was in the end."""
    metadata = service_identity("gateway", TENANT).metadata()
    async with grpc.aio.insecure_channel(fleet.address("learning", number)) as channel:
        call = EvolverServiceStub(channel).RunResearchExperiment(request, metadata=metadata, timeout=300)
        return [answer.experiment async for answer in call][-1]


async def _grown(count: Callable[[], Awaitable[int]], by: int, within_s: float) -> bool:
    """Wait until it has grown, or for the time. Returns whether it has."""
    wanted = await count() + by
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while await count() < wanted:  # noqa: ASYNC110 -- a database tells nobody
                await asyncio.sleep(0.05)
            return True
    return False


async def _steps(storage: Storage) -> int:
    """How many steps the longest experiment has taken."""
    rows = await storage.rows("learning", "SELECT coalesce(max(json_array_length(steps)), 0) FROM experiments")
    return int(rows[0][0])


async def _lost_claims(storage: Storage) -> None:
    """Claims are free, as where a network has dropped whoever had them."""
    assert storage.database is not None
    await asyncio.to_thread(storage.database.server.end_claims, storage.database.name)


def _log(replica: Replica) -> str:
    return replica.log.read_text()


async def _restart(fleet: Fleet, name: str) -> None:
    replica = fleet.replicas[name]
    ended, began = len(replica.endings), time.monotonic()
    fleet.signal(name, signal.SIGTERM)

    async def over() -> bool:
        return len(replica.endings) > ended

    await eventually(over, f"{name} ends", END_S)
    print(f"{name} ended after {time.monotonic() - began:.1f} s")
    await eventually(lambda: fleet.serves(name), f"{name} serves again")
    # As the chart does by minReadySeconds, and docs/operations.md asks for.
    await asyncio.sleep(CONNECTED_S)

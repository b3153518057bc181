"""Clocks that are set an hour forth and back, of all services and of one replica alone.

The services run with libfaketime (Debian's `faketime`), which reads from a file, for each process, by how much
`time.time()` is wrong. As with a real step, the monotonic clock goes on as it was.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_sdk import AutoDevClient
from autodev_sdk.events import EventWorker, working
from tests.chaos import readback
from tests.chaos.load import QUOTA, Publisher, events_of, named_agents, prepared
from tests.conftest import require
from tests.fleet import Fleet
from tests.mesh import SERVICES, eventually
from tests.postgresql import Server
from tests.storage import Storage, Storages

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
SKEWED = "2"
"""Which replica of each service is set alone."""
STEPS = (("+3600", "+3600"), ("-3600", "-3600"), ("+0", "+3600"), ("+0", "-3600"), ("+0", "+0"))
"""By how many seconds the clocks are wrong: of most replicas, and of the skewed ones."""
AGENTS_A_STEP = 1
CACHED_S = 1.2


@pytest.fixture
def clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The files that set the clocks of each replica's kind: "1" and "2"."""
    require(LIBRARIES, "libfaketime is not installed (Debian: faketime)")
    # For the process that forks the services, which has it loaded; the files come with each service's own settings.
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARIES[0]))
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    # Read the files once a second: at every look at the clock, it would take more time than the services do.
    monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
    files = {number: tmp_path / f"clock-{number}" for number in ("1", SKEWED)}
    for file in files.values():
        file.write_text("+0\n")
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(files["1"]))
    return files


@pytest.fixture(params=["sql", "jetstream"])
def storage(request: pytest.FixtureRequest, postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    """PostgreSQL for every service, and the event log there too or in NATS JetStream, whose clock nobody sets."""
    nats = request.getfixturevalue("nats_server") if request.param == "jetstream" else None
    with Storages(postgresql, nats).new(tmp_path) as opened:
        yield opened


async def test_clocks_that_step_leave_no_gap_no_repeat_and_no_lease_for_ever(
    storage: Storage, clocks: dict[str, Path]
) -> None:
    agents = named_agents(1, AGENTS_A_STEP * (len(STEPS) + 1))
    own = {f"{service}-{SKEWED}": {"FAKETIME_TIMESTAMP_FILE": str(clocks[SKEWED])} for service in SERVICES}
    async with (
        Fleet(storage.directory, storage.settings, own=own) as fleet,
        fleet.client() as client,
        fleet.client(1) as one,
        fleet.client(2) as other,
    ):
        publishers = [Publisher(one), Publisher(other)]
        await prepared(publishers[0], storage, agents)
        followed: list[event_pb2.Event] = []
        delivered: set[str] = set()

        async def note(event: event_pb2.Event) -> None:
            delivered.add(event.id)

        worker = EventWorker(client.events, "audit", {event_pb2.EVENT_TYPE_TASK_FAILED: note})
        following = asyncio.ensure_future(_follow(client, followed))
        async with working(worker):
            for step, (most, skewed) in enumerate((("+0", "+0"), *STEPS)):
                clocks["1"].write_text(f"{most}\n")
                clocks[SKEWED].write_text(f"{skewed}\n")
                await asyncio.sleep(CACHED_S)
                for agent in agents[step * AGENTS_A_STEP : (step + 1) * AGENTS_A_STEP]:
                    # Each agent's events by one gateway, then by the other.
                    for number, event in enumerate(events_of(agent)):
                        await publishers[number % 2].publish([event])
            await readback.worked_through(storage, len(agents) * QUOTA)
            acknowledged = {key: cursor for each in publishers for key, cursor in each.acknowledged.items()}
            log = await readback.check_log(client, acknowledged)
            await eventually(lambda: _reached(followed, log), "the subscriber has followed to the end", 30)
        following.cancel()
        assert [event.id for event in followed[: len(log)]] == [event.id for event in log], "a gap, or a repeat"
        failures = {event.id for event in log if event.HasField("task_failed")}
        assert failures <= delivered, "an event never reached the group"
        recorded = [event.recorded_at.ToSeconds() for event in log]
        assert max(recorded) - min(recorded) > 3000, "the clocks did not step"
        readback.check_steps(log)
        await readback.check_quotas(storage)
        await readback.check_no_dead_letters(storage)
        assert not [replica.name for replica in fleet.replicas.values() if replica.endings], "a service ended by itself"


async def _follow(client: AutoDevClient, followed: list[event_pb2.Event]) -> None:
    request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_EARLIEST)
    async for response in client.events.Subscribe(request):
        followed.extend(response.events)


async def _reached(followed: list[event_pb2.Event], log: list[event_pb2.Event]) -> bool:
    return len(followed) >= len(log)

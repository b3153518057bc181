"""The service in the mesh: events come from the gateway's log and go there, through a crash as well."""

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_capability.store.rows import CounterRow
from autodev_sdk import AutoDevClient
from autodev_sdk.events import make_event, uuid7
from tests.mesh import Mesh, eventually
from tests.storage import Storage


def verified_success() -> event_pb2.Event:
    payload = event_pb2.TaskEvent(
        episode_id=uuid7(),
        agent_id="ada",
        task_description="add two numbers",
        outcome=event_pb2.OUTCOME_SUCCESS,
        verification=event_pb2.VERIFICATION_VERIFIED,
    )
    return make_event(payload, agent_id="ada")


async def publish(client: AutoDevClient, count: int) -> None:
    events = [verified_success() for _ in range(count)]
    await client.events.Publish(event_service_pb2.PublishRequest(events=events))


async def successes_reach(client: AutoDevClient, count: int) -> pb.Agent:
    async def look() -> pb.Agent | None:
        answer = await client.capability.GetAgent(pb.GetAgentRequest(agent_id="ada"), wait_for_ready=True)
        return answer.agent if answer.agent.verified_successes >= count else None

    return await eventually(look, f"{count} successes are counted")


async def unlocks(client: AutoDevClient, count: int) -> list[str]:
    """The first `count` CapabilityUnlocked of the log, once they are there: capability and agent of each."""
    request = event_service_pb2.SubscribeRequest(
        filter=event_service_pb2.EventFilter(types=[event_pb2.EVENT_TYPE_CAPABILITY_UNLOCKED]),
        at=event_service_pb2.START_AT_EARLIEST,
    )
    found: list[str] = []
    async for response in client.events.Subscribe(request, timeout=60):
        found += [f"{event.capability_unlocked.capability} {event.agent_id}" for event in response.events]
        if len(found) >= count:
            break
    return found


async def test_verified_successes_in_the_log_graduate_an_agent_and_the_log_hears_of_it(storage: Storage) -> None:
    async with (
        Mesh(storage.directory, settings=storage.settings, services=("gateway", "capability")) as mesh,
        mesh.client() as client,
    ):
        await publish(client, 5)
        agent = await successes_reach(client, 5)
        assert agent.maturity == pb.MATURITY_LEVEL_INTERN
        assert await unlocks(client, 1) == ["auto_dev.memento_skills ada"]


async def test_a_service_that_is_killed_goes_on_and_counts_nothing_twice(storage: Storage) -> None:
    async with (
        Mesh(storage.directory, settings=storage.settings, services=("gateway", "capability")) as mesh,
        mesh.client() as client,
    ):
        await publish(client, 40)
        await successes_reach(client, 1)
        mesh.kill("capability")
        await publish(client, 9)
        await mesh.start("capability")
        await successes_reach(client, 49)
        await publish(client, 1)
        agent = await successes_reach(client, 50)
        assert (agent.verified_successes, agent.maturity) == (50, pb.MATURITY_LEVEL_AUTONOMOUS)
        assert await unlocks(client, 3) == [
            "auto_dev.memento_skills ada",
            "auto_dev.alpha_evolver ada",
            "auto_dev.background_evolution ada",
        ]


async def test_the_service_forgets_days_that_are_long_past(storage: Storage) -> None:
    day = CounterRow(capability="auto_dev.memento_skills", holder="ada", day="2020-01-01", granted=1)
    async with Mesh(storage.directory, settings=storage.settings, services=("gateway", "capability")) as mesh:
        mesh.kill("capability")
        async with storage.open("capability") as database, database.session("acme") as session:
            session.add(day)
        await mesh.start("capability")

        async def forgotten() -> bool:
            return await storage.rows("capability", "SELECT day FROM quota_counters") == []

        await eventually(forgotten, "the old day is forgotten")

"""Episodes: what the events of tasks say of them, newest first, one tenant's only."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from autodev.gateway.v1 import episode_service_pb2 as pb
from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1.episode_service_pb2_grpc import EpisodeServiceStub
from autodev_runtime.identity import service_identity
from autodev_sdk import AutoDevClient, make_event
from tests.integration.gateway.parts import ACME, Running, failed, publish
from tests.serving import refusal
from tests.storage import EVERY_LOG

pytestmark = EVERY_LOG


def succeeded(number: int, agent: str = "ada") -> event_pb2.Event:
    return make_event(
        event_pb2.TaskEvent(
            episode_id=f"episode-{number}",
            agent_id=agent,
            task_description="add two numbers",
            outcome=event_pb2.OUTCOME_SUCCESS,
        )
    )


async def listed(client: AutoDevClient, **request: object) -> list[str]:
    response = await client.episodes.ListEpisodes(pb.ListEpisodesRequest(**request))  # type: ignore[arg-type]
    return [episode.id for episode in response.episodes]


async def test_an_episode_is_there_when_its_event_is_acknowledged(acme: AutoDevClient) -> None:
    event = failed(1, code="def add(a, b): return a - b")
    await publish(acme, [event])
    episode = (await acme.episodes.GetEpisode(pb.GetEpisodeRequest(episode_id="episode-1"))).episode
    assert (episode.id, episode.task) == ("episode-1", event.task_failed)
    assert episode.HasField("recorded_at")


async def test_an_episode_that_is_reported_again_keeps_its_latest_report_and_first_time(acme: AutoDevClient) -> None:
    first = failed(1)
    await publish(acme, [first])
    before = (await acme.episodes.GetEpisode(pb.GetEpisodeRequest(episode_id="episode-1"))).episode
    later = succeeded(1)
    await publish(acme, [later])
    # The first event published again is no report.
    await publish(acme, [first])
    episode = (await acme.episodes.GetEpisode(pb.GetEpisodeRequest(episode_id="episode-1"))).episode
    assert episode.task == later.task_succeeded
    assert episode.recorded_at == before.recorded_at
    assert await listed(acme, outcome=event_pb2.OUTCOME_FAILURE) == []


async def test_episodes_are_listed_newest_first_a_page_at_a_time(acme: AutoDevClient) -> None:
    await publish(acme, [failed(number) for number in range(7)])
    found: list[str] = []
    token = ""
    while len(found) < 7 or token:
        page = await acme.episodes.ListEpisodes(pb.ListEpisodesRequest(page_size=3, page_token=token))
        assert len(page.episodes) <= 3
        found += [episode.id for episode in page.episodes]
        token = page.next_page_token
    assert found == [f"episode-{number}" for number in reversed(range(7))]


async def test_a_page_of_large_episodes_is_shorter_than_asked_for(acme: AutoDevClient) -> None:
    code = "#" * 130_000
    for start in range(0, 40, 10):
        await publish(acme, [failed(number, code=code, preamble=code) for number in range(start, start + 10)])
    first = await acme.episodes.ListEpisodes(pb.ListEpisodesRequest(page_size=40))
    assert 1 < len(first.episodes) < 40
    found = [episode.id for episode in first.episodes]
    token = first.next_page_token
    while token:
        page = await acme.episodes.ListEpisodes(pb.ListEpisodesRequest(page_size=40, page_token=token))
        found += [episode.id for episode in page.episodes]
        token = page.next_page_token
    assert found == [f"episode-{number}" for number in reversed(range(40))]


async def test_episodes_are_found_by_agent_and_outcome(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1), failed(2, "bob"), succeeded(3), succeeded(4, "bob")])
    assert await listed(acme, agent_id="bob") == ["episode-4", "episode-2"]
    assert await listed(acme, outcome=event_pb2.OUTCOME_SUCCESS) == ["episode-4", "episode-3"]
    assert await listed(acme, agent_id="ada", outcome=event_pb2.OUTCOME_FAILURE) == ["episode-1"]


async def test_another_tenants_episode_is_not_found(acme: AutoDevClient, globex: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    told = await refusal(globex.episodes.GetEpisode(pb.GetEpisodeRequest(episode_id="episode-1")))
    assert told.code == "NOT_FOUND"
    assert await listed(globex) == []
    await publish(globex, [succeeded(1)])
    episode = (await acme.episodes.GetEpisode(pb.GetEpisodeRequest(episode_id="episode-1"))).episode
    assert episode.task.outcome == event_pb2.OUTCOME_FAILURE


async def test_a_page_can_be_read_by_a_client_with_grpcs_own_limit(gateway: Running, acme: AutoDevClient) -> None:
    # With these, the episodes' own bytes come to 4 MiB, and a message of them all to a little more.
    like = pb.Episode(id="episode-100", task=failed(100, code="#" * 8_000).task_failed, recorded_at=Timestamp())
    like.recorded_at.FromMicroseconds(1_800_000_000_999_999)
    code = "#" * (8_000 + 4 * 1024 * 1024 // 500 - like.ByteSize())
    for start in (100, 350):
        await publish(acme, [failed(number, code=code) for number in range(start, start + 250)])
    async with grpc.aio.insecure_channel(gateway.public_address) as plain:
        stub = EpisodeServiceStub(plain)
        credential = (("authorization", f"Bearer {gateway.key(ACME)}"),)
        first = await stub.ListEpisodes(pb.ListEpisodesRequest(page_size=500), metadata=credential)
        rest = pb.ListEpisodesRequest(page_size=500, page_token=first.next_page_token)
        second = await stub.ListEpisodes(rest, metadata=credential)
    assert len(first.episodes) + len(second.episodes) == 500


async def test_a_service_reads_as_one_tenant(gateway: Running, acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    request = pb.GetEpisodeRequest(episode_id="episode-1")
    async with gateway.service(service_identity("learning", "acme")) as channel:
        assert (await EpisodeServiceStub(channel).GetEpisode(request)).episode.id == "episode-1"
    async with gateway.service() as channel:
        told = await refusal(EpisodeServiceStub(channel).GetEpisode(request))
    assert (told.code, told.reason) == ("PERMISSION_DENIED", "TENANT_REQUIRED")


@pytest.mark.parametrize("token", ["x", "W10", "WyJhIl0"])
async def test_a_token_that_no_list_gave_is_refused(acme: AutoDevClient, token: str) -> None:
    told = await refusal(acme.episodes.ListEpisodes(pb.ListEpisodesRequest(page_token=token)))
    assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["page_token"])

"""EpisodeService: protobuf to the episode store and back."""

from typing import Any

from autodev.gateway.v1 import episode_service_pb2 as pb
from autodev.gateway.v1 import episode_service_pb2_grpc
from autodev_gateway.episode_store import Episode, EpisodeQuery, EpisodeStore
from autodev_gateway.event_log import EventLog
from autodev_runtime.identity import ALL_TENANTS, current_tenant
from autodev_runtime.paging import key_from, page_of, page_size
from autodev_runtime.scoped_session import OneTenantRequired


class EpisodeServicer(episode_service_pb2_grpc.EpisodeServiceServicer):
    """Serves the caller's tenant."""

    def __init__(self, episodes: EpisodeStore, log: EventLog) -> None:
        self._episodes = episodes
        self._log = log

    async def GetEpisode(self, request: pb.GetEpisodeRequest, context: Any) -> pb.GetEpisodeResponse:
        """One episode."""
        await self._log.indexed()
        return pb.GetEpisodeResponse(episode=_to_proto(await self._episodes.get(_one_tenant(), request.episode_id)))

    async def ListEpisodes(self, request: pb.ListEpisodesRequest, context: Any) -> pb.ListEpisodesResponse:
        """A page of episodes."""
        key = key_from(request.page_token, int)
        size = page_size(request.page_size)
        query = EpisodeQuery(request.agent_id, request.outcome)
        await self._log.indexed()
        found = await self._episodes.page(_one_tenant(), query, int(key[0]) if key else None, size + 1)
        episodes, token = page_of(found, size, _to_proto, lambda last: [last.recorded_us])
        return pb.ListEpisodesResponse(episodes=episodes, next_page_token=token)


def _one_tenant() -> str:
    tenant = current_tenant()
    if tenant == ALL_TENANTS:
        raise OneTenantRequired
    return tenant


def _to_proto(episode: Episode) -> pb.Episode:
    message = pb.Episode(id=episode.id)
    message.task.ParseFromString(episode.task)
    message.recorded_at.FromMicroseconds(episode.recorded_us)
    return message

"""Setting a workspace up for a demo or a replay, by the operator's RPCs."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_sdk import AutoDevClient

PLENTY = 100_000


async def settings_of(mesh: AutoDevClient) -> pb.WorkspaceSettings:
    """The workspace's settings."""
    return (await mesh.capability.GetWorkspaceSettings(pb.GetWorkspaceSettingsRequest())).settings


@asynccontextmanager
async def put_back(mesh: AutoDevClient) -> AsyncIterator[pb.WorkspaceSettings]:
    """The settings as they are, and at the block's end are again."""
    before = await settings_of(mesh)
    try:
        yield before
    finally:
        await _put(mesh, before)


@asynccontextmanager
async def working(mesh: AutoDevClient, proposers: Iterable[str] = ()) -> AsyncIterator[None]:
    """Have Auto-Dev on, with limits that nothing here meets, within the block; then as it was."""
    async with put_back(mesh) as before:
        within = pb.WorkspaceSettings()
        within.CopyFrom(before)
        within.enabled = within.memento_skills = within.alpha_evolver = within.background_evolution = True
        within.auto_promote = False
        within.max_mutations_per_day = within.max_skill_candidates_per_day = PLENTY
        within.proposers[:] = proposers
        await _put(mesh, within)
        yield


async def enable(mesh: AutoDevClient) -> None:
    """Have Auto-Dev on from now on, with everything it can do."""
    settings = await settings_of(mesh)
    settings.enabled = settings.memento_skills = settings.alpha_evolver = settings.background_evolution = True
    await _put(mesh, settings)


async def raise_mutation_limit(mesh: AutoDevClient, limit: int) -> None:
    """Allow so many rewrites a day."""
    settings = await settings_of(mesh)
    settings.max_mutations_per_day = max(settings.max_mutations_per_day, limit)
    await _put(mesh, settings)


async def set_maturity(
    mesh: AutoDevClient, agents: Iterable[str], level: "pb.MaturityLevel.ValueType", reason: str
) -> None:
    """Trust the agents as far as `level`, agent-wide."""
    for agent in agents:
        await mesh.capability.SetMaturity(pb.SetMaturityRequest(agent_id=agent, maturity=level, reason=reason))


async def _put(mesh: AutoDevClient, settings: pb.WorkspaceSettings) -> None:
    await mesh.capability.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings))

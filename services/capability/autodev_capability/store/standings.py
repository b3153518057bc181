"""Queries of settings, gates and agents."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

from sqlalchemy import and_, collate, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_capability.gates import Gate, WorkspaceSettings, built_in_gate
from autodev_capability.maturity import Agent, CapabilityStanding, Maturity, MaturityChange, Progress
from autodev_capability.store.rows import (
    AgentRow,
    CountedEpisodeRow,
    CountedEventRow,
    GateRow,
    MaturityChangeRow,
    StandingRow,
    WorkspaceSettingsRow,
)
from autodev_runtime.columns import insert_if_absent, now


class Standings:
    """What a workspace allows and how its agents stand, within one transaction."""

    def __init__(self, session: AsyncSession, installed: Mapping[str, Gate]) -> None:
        self._session = session
        self._installed = installed

    async def settings(self) -> WorkspaceSettings:
        """The workspace's settings; the defaults until someone changed them."""
        row = await self._session.scalar(select(WorkspaceSettingsRow))
        return _settings_from(row) if row is not None else WorkspaceSettings()

    async def gate(self, capability: str) -> Gate | None:
        """The built-in gate of this name, an extension's, or the workspace's own."""
        if (fixed := built_in_gate(capability) or self._installed.get(capability)) is not None:
            return fixed
        row = await self._session.scalar(select(GateRow).where(GateRow.capability == capability))
        return _gate_from(row) if row is not None else None

    async def custom_gates(self, after: str = "", limit: int | None = None) -> list[Gate]:
        """The gates that are not built in, by name: extensions' and the workspace's own."""
        # Installed gates are sorted in among them, by code point, as SQLite does; other databases may sort otherwise.
        is_sqlite = self._session.get_bind().dialect.name == "sqlite"
        name = GateRow.capability if is_sqlite else collate(GateRow.capability, "C")
        query = select(GateRow).where(name > after).order_by(name).limit(limit)
        own = {row.capability: _gate_from(row) for row in await self._session.scalars(query)}
        installed = {name: gate for name, gate in self._installed.items() if name > after}
        gates = own | installed
        return [gates[name] for name in sorted(gates)][:limit]

    async def agent(self, agent_id: str) -> Agent:
        """The agent; one that was never heard of is a STUDENT without successes."""
        row = await self._session.scalar(select(AgentRow).where(AgentRow.agent_id == agent_id))
        return (await self._agents_from([row]))[0] if row is not None else Agent(agent_id)

    async def is_known(self, agent_id: str) -> bool:
        """Whether the agent was heard of."""
        query = select(AgentRow.agent_id).where(AgentRow.agent_id == agent_id)
        return await self._session.scalar(query) is not None

    async def agents(self, after: str, limit: int) -> list[Agent]:
        """Agents by id."""
        query = select(AgentRow).where(AgentRow.agent_id > after).order_by(AgentRow.agent_id).limit(limit)
        return await self._agents_from(list(await self._session.scalars(query)))

    async def _agents_from(self, rows: Sequence[AgentRow]) -> list[Agent]:
        standings: dict[str, dict[str, CapabilityStanding]] = {row.agent_id: {} for row in rows}
        query = select(StandingRow).where(StandingRow.agent_id.in_(standings)).order_by(StandingRow.capability)
        for row in await self._session.scalars(query):
            standings[row.agent_id][row.capability] = _standing_from(row)
        return [_agent_from(row, standings[row.agent_id]) for row in rows]

    async def changes(self, agent_id: str, before: int | None, limit: int) -> list[tuple[int, MaturityChange]]:
        """Changes of levels with their positions, newest first; of all agents when `agent_id` is empty."""
        query = select(MaturityChangeRow).order_by(MaturityChangeRow.position.desc()).limit(limit)
        if agent_id:
            query = query.where(MaturityChangeRow.agent_id == agent_id)
        if before is not None:
            query = query.where(MaturityChangeRow.position < before)
        return [(row.position, _change_from(row)) for row in await self._session.scalars(query)]

    async def save_settings(self, settings: WorkspaceSettings, changed_by: str) -> None:
        """Replace the workspace's settings."""
        values = asdict(settings) | {"proposers": list(settings.proposers), "updated_by": changed_by}
        if not await insert_if_absent(self._session, WorkspaceSettingsRow, **values):
            await self._session.execute(update(WorkspaceSettingsRow).values(**values, updated_at=now()))

    async def save_gate(self, gate: Gate) -> None:
        """Add or change a gate of the workspace's own."""
        values = {"required": int(gate.required), "limit_per_agent_per_day": gate.limit_per_agent_per_day}
        if not await insert_if_absent(self._session, GateRow, capability=gate.capability, **values):
            await self._session.execute(update(GateRow).where(GateRow.capability == gate.capability).values(**values))

    async def count_once(self, event_id: str, day: str) -> bool:
        """Whether an event of that day is counted for the first time."""
        return await insert_if_absent(self._session, CountedEventRow, event_id=event_id, day=day)

    async def counted(self, agent_id: str, episode_id: str) -> set[str]:
        """What was counted of an agent's episode."""
        its = and_(CountedEpisodeRow.agent_id == agent_id, CountedEpisodeRow.episode_id == episode_id)
        return set(await self._session.scalars(select(CountedEpisodeRow.work).where(its)))

    async def keep_counted(self, agent_id: str, episode_id: str, work: str, day: str) -> None:
        """Keep that something is counted of an agent's episode."""
        self._session.add(CountedEpisodeRow(agent_id=agent_id, episode_id=episode_id, work=work, day=day))

    async def agent_to_change(self, agent_id: str) -> Agent:
        """The agent, which no other transaction changes until this one ends."""
        await insert_if_absent(self._session, AgentRow, agent_id=agent_id)
        query = select(AgentRow).where(AgentRow.agent_id == agent_id).with_for_update()
        return (await self._agents_from([(await self._session.scalars(query)).one()]))[0]

    async def save_agent(self, before: Agent, after: Agent) -> None:
        """Write what changed of an agent that `agent_to_change` gave."""
        await self._session.execute(
            update(AgentRow)
            .where(AgentRow.agent_id == after.id)
            .values(
                **_progress_values(after.progress),
                verified_successes=after.verified_successes,
                self_reported_successes=after.self_reported_successes,
            )
        )
        for capability, standing in after.capabilities.items():
            if standing == before.capabilities.get(capability):
                continue
            values = _progress_values(standing.progress) | {
                "verified_successes": standing.verified_successes,
                "set_by_operator": standing.set_by_operator,
            }
            names = {"agent_id": after.id, "capability": capability}
            if not await insert_if_absent(self._session, StandingRow, **names, **values):
                where = and_(StandingRow.agent_id == after.id, StandingRow.capability == capability)
                await self._session.execute(update(StandingRow).where(where).values(**values))

    async def record(self, change: MaturityChange) -> None:
        """Add to the record of changes."""
        self._session.add(
            MaturityChangeRow(
                agent_id=change.agent_id,
                capability=change.capability,
                level_before=int(change.before),
                level_after=int(change.after),
                changed_by=change.changed_by,
                reason=change.reason,
                changed_at=change.changed_at,
            )
        )


def _settings_from(row: WorkspaceSettingsRow) -> WorkspaceSettings:
    return WorkspaceSettings(
        enabled=row.enabled,
        memento_skills=row.memento_skills,
        alpha_evolver=row.alpha_evolver,
        background_evolution=row.background_evolution,
        max_mutations_per_day=row.max_mutations_per_day,
        max_skill_candidates_per_day=row.max_skill_candidates_per_day,
        auto_promote=row.auto_promote,
        proposers=tuple(row.proposers),
        canary_percent=row.canary_percent,
        cluster_failures=row.cluster_failures,
    )


def _gate_from(row: GateRow) -> Gate:
    return Gate(row.capability, Maturity(row.required), row.limit_per_agent_per_day)


def _progress_values(progress: Progress) -> dict[str, int]:
    return {"level": int(progress.level), "credit": progress.credit, "refutations": progress.refutations}


def _progress_from(row: AgentRow | StandingRow) -> Progress:
    return Progress(Maturity(row.level), row.credit, row.refutations)


def _standing_from(row: StandingRow) -> CapabilityStanding:
    return CapabilityStanding(_progress_from(row), row.verified_successes, row.set_by_operator)


def _agent_from(row: AgentRow, standings: dict[str, CapabilityStanding]) -> Agent:
    return Agent(
        row.agent_id,
        _progress_from(row),
        row.verified_successes,
        row.self_reported_successes,
        MappingProxyType(standings),
    )


def _change_from(row: MaturityChangeRow) -> MaturityChange:
    return MaturityChange(
        row.agent_id,
        row.capability,
        Maturity(row.level_before),
        Maturity(row.level_after),
        row.changed_by,
        row.reason,
        row.changed_at,
    )

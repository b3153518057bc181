"""Reserving as one script: what the rules need is read and locked, they decide, and what they grant is written.

On SQLite nobody else writes meanwhile. On PostgreSQL counters are locked, in one order, before they are read: whoever
else grants uses of them waits until this is committed.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from autodev_capability.events import event_of
from autodev_capability.gates import Gate, WorkspaceSettings, built_in_gate
from autodev_capability.granting import Admission, Admitted, Count, Granting, Use, Wish, admission
from autodev_capability.maturity import Agent, CapabilityStanding, Maturity, Progress
from autodev_capability.notices import QuotaMet
from autodev_capability.quota import CounterKey, Reservation
from autodev_capability.store.counters import RESERVATION, Counters, names, reservation_from
from autodev_runtime import outbox
from autodev_runtime.errors import AutoDevError
from autodev_runtime.repeating import Conflict
from autodev_runtime.scripts import Change, Dialect, Rows, Script, Statement, array
from autodev_runtime.tracing import tracing_as

SETTINGS = """
SELECT enabled, memento_skills, alpha_evolver, background_evolution, max_mutations_per_day, max_skill_candidates_per_day
FROM workspace_settings WHERE tenant_id = $1
"""
GATES = """
SELECT capability, required, limit_per_agent_per_day FROM gates
WHERE tenant_id = $1 AND capability IN (SELECT value ->> 0 FROM EACH($2))
"""
AGENTS = """
SELECT agents.agent_id, agents.level, own.capability, own.level, own.set_by_operator
FROM agents LEFT JOIN capability_standings AS own
    ON own.tenant_id = agents.tenant_id AND own.agent_id = agents.agent_id
WHERE agents.tenant_id = $1 AND agents.agent_id IN (SELECT value ->> 0 FROM EACH($2))
"""
EARLIER = f"""
SELECT {RESERVATION} FROM reservations
WHERE tenant_id = $1 AND request_id IN (SELECT value ->> 0 FROM EACH($2))
"""
ADD = """
INSERT INTO reservations
    (tenant_id, id, request_id, agent_id, capability, holder, day, state, expires_at, used, quota)
SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, 'reserved',
    MOMENT(value ->> 6), CAST(value ->> 7 AS integer), CAST(value ->> 8 AS integer)
FROM EACH($2) WHERE TRUE ON CONFLICT DO NOTHING
"""
RENEW = """
UPDATE reservations SET state = 'reserved', agent_id = $3, capability = $4, holder = $5, day = $6,
    expires_at = MOMENT($7), used = $8, quota = $9
WHERE tenant_id = $1 AND id = $2 AND state = 'lapsed'
"""

Outcome = Reservation | AutoDevError


@dataclass(frozen=True, slots=True)
class Reserving:
    """A tenant's wishes, to be granted or refused in order, at a moment."""

    tenant: str
    wishes: Sequence[Wish]
    now: datetime
    dialect: Dialect
    installed: Mapping[str, Gate] = field(default_factory=dict)
    """The gates that extensions add to every workspace, by capability."""

    @property
    def _counters(self) -> Counters:
        return Counters(self.tenant, self.now, self.dialect)

    def script(self) -> Script[tuple[list[Outcome], Collection[QuotaMet]]]:
        """The outcome of each wish, and what was announced. Raises Conflict."""
        earlier = yield from self._earlier()
        asked = [wish for wish in self.wishes if not self._is_held(earlier.get(wish.request_id))]
        admissions = yield from self._admissions(asked)
        admitted = {use: each.counter for use, each in admissions.items() if isinstance(each, Admitted)}
        # One that lapsed gives its use back to where it took it, which may be another day's or another capability's.
        again = {
            earlier[wish.request_id].counter for wish in asked if wish.request_id in earlier and wish.use in admitted
        }
        counts = yield from self._counters.standing({*admitted.values(), *again})
        if admitted and not self.dialect.is_sqlite:
            # Another replica may have served the same requests while this one waited for the counters.
            earlier = yield from self._earlier()
        granting = Granting(counts, earlier, self.now)
        outcomes = [granting.grant(wish, admissions.get(wish.use)) for wish in self.wishes]
        yield from self._write(granting, counts)
        return outcomes, granting.notices.values()

    def _is_held(self, reservation: Reservation | None) -> bool:
        return reservation is not None and not reservation.has_lapsed(self.now)

    def _earlier(self) -> Script[dict[str, Reservation]]:
        ids = {each for wish in self.wishes for each in (wish.request_id, wish.formerly) if each}
        rows = yield Statement(EARLIER, (self.tenant, names(sorted(ids))))
        kept = {each.request_id: each for each in (reservation_from(row, self.dialect) for row in rows)}
        found = {wish.request_id: kept.get(wish.request_id) or kept.get(wish.formerly) for wish in self.wishes}
        return {request_id: each for request_id, each in found.items() if each is not None}

    def _admissions(self, wishes: Collection[Wish]) -> Script[dict[Use, Admission]]:
        if not wishes:
            return {}
        settings = _settings_from((yield Statement(SETTINGS, (self.tenant,))))
        uses = {wish.use for wish in wishes}
        own = {use.capability for use in uses if self._fixed(use.capability) is None}
        gates = _gates_from((yield Statement(GATES, (self.tenant, names(own))))) if own else {}
        agents = _agents_from((yield Statement(AGENTS, (self.tenant, names({use.agent_id for use in uses})))))
        return {
            use: admission(
                use,
                self._fixed(use.capability) or gates.get(use.capability),
                settings,
                agents.get(use.agent_id, Agent(use.agent_id)),
                self.now,
            )
            for use in uses
        }

    def _fixed(self, capability: str) -> Gate | None:
        return built_in_gate(capability) or self.installed.get(capability)

    def _write(self, granting: Granting, before: Mapping[CounterKey, Count]) -> Script[None]:
        changed = [counter for counter, count in granting.counts.items() if count != before[counter]]
        if changed:
            yield from self._counters.write(granting.counts, changed)
        if granting.added:
            rows = array([_row_of(each, self.dialect) for each in granting.added])
            _require(len(granting.added), (yield Change(ADD, (self.tenant, rows))))
        for each in granting.renewed:
            _, _, *values = _row_of(each, self.dialect)
            _require(1, (yield Change(RENEW, (self.tenant, each.id, *values))))
        for wish, notice in granting.notices.items():
            with tracing_as(wish.trace) if wish.trace is not None else nullcontext():
                event = outbox.written(event_of(notice), self.tenant)
            yield Statement(outbox.ADD, (self.tenant, event, self.dialect.written(self.now)))


def _require(count: int, written: Rows) -> None:
    if written[0][0] != count:
        # Undoes this transaction. Done again, it finds what the other replica's call made.
        raise Conflict("another call with this request_id is being served", reason="REQUEST_IN_PROGRESS")


def _settings_from(rows: Rows) -> WorkspaceSettings:
    if not rows:
        return WorkspaceSettings()
    enabled, memento_skills, alpha_evolver, background_evolution, mutations, candidates = rows[0]
    return WorkspaceSettings(
        enabled=bool(enabled),
        memento_skills=bool(memento_skills),
        alpha_evolver=bool(alpha_evolver),
        background_evolution=bool(background_evolution),
        max_mutations_per_day=mutations,
        max_skill_candidates_per_day=candidates,
    )


def _gates_from(rows: Rows) -> dict[str, Gate]:
    return {capability: Gate(capability, Maturity(required), limit) for capability, required, limit in rows}


def _agents_from(rows: Rows) -> dict[str, Agent]:
    """The agents, as far as their levels go."""
    levels: dict[str, Progress] = {}
    own: dict[str, dict[str, CapabilityStanding]] = {}
    for agent_id, level, capability, own_level, set_by_operator in rows:
        levels[agent_id] = Progress(Maturity(level))
        standings = own.setdefault(agent_id, {})
        if capability is not None:
            progress = Progress(Maturity(own_level))
            standings[capability] = CapabilityStanding(progress, set_by_operator=bool(set_by_operator))
    return {agent_id: Agent(agent_id, progress, capabilities=own[agent_id]) for agent_id, progress in levels.items()}


def _row_of(reservation: Reservation, dialect: Dialect) -> tuple[object, ...]:
    return (
        *(reservation.id, reservation.request_id, reservation.agent_id, *reservation.counter),
        *(dialect.written(reservation.expires_at), reservation.used, reservation.limit),
    )

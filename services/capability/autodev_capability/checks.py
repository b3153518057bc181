"""Whether an agent may use a capability now, and why not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from autodev_capability.custom import CustomGates
from autodev_capability.gates import Decision, Denial, decide, limit_of, next_day, unknown
from autodev_capability.maturity import Maturity
from autodev_capability.quota import counter_for
from autodev_capability.snapshots import Answer, Snapshots
from autodev_capability.store import CapabilityStore
from autodev_runtime.errors import PermissionDenied, Unavailable

NO_CUSTOM_GATES = CustomGates()


class Checks:
    """Answers from memory where that is fresh; see `snapshots.py`."""

    def __init__(
        self,
        store: CapabilityStore,
        snapshots: Snapshots,
        clock: Callable[[], datetime],
        custom: CustomGates = NO_CUSTOM_GATES,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._custom = custom

    async def check(self, tenant: str, agent_id: str, capability: str) -> Decision:
        """Whether a reservation would be granted now. What cannot be read is a no."""
        try:
            decision = await self._snapshots.get(
                tenant, (agent_id, capability), lambda: self._read(tenant, agent_id, capability)
            )
        except Unavailable:
            return Decision(Denial.LIMIT, "the limit cannot be read at the moment, so nothing is allowed")
        return await self._custom_checked(tenant, agent_id, capability, decision) if decision.allowed else decision

    async def require_gate(self, tenant: str, agent_id: str, capability: str) -> None:
        """Raise PermissionDenied (GATE_REFUSED) where the check of a gate of the user's own says no.

        Raises Unavailable (GATE_AWAY) where it cannot be asked.
        """
        if not self._custom.has(capability):
            return
        async with self._store.reading(tenant) as transaction:
            gate = await transaction.standings.gate(capability)
            agent = await transaction.standings.agent(agent_id)
        # Asked whatever a check before said: that may be as old as a snapshot, and the reservation is decided now.
        required = gate.required if gate is not None else None
        asked = Decision(None, "", required, agent.level_for(capability))
        decision = await self._custom_checked(tenant, agent_id, capability, asked)
        if decision.denial is Denial.CHECK_AWAY:
            raise Unavailable(decision.message, reason=decision.denial.value)
        if decision.denial is not None:
            raise PermissionDenied(decision.message, reason=decision.denial.value)

    async def _custom_checked(self, tenant: str, agent_id: str, capability: str, decision: Decision) -> Decision:
        """The decision, or the refusal by a check of the user's own: not kept, what it goes by may change any time."""
        if not self._custom.has(capability):
            return decision
        required, current = decision.required or Maturity.AUTONOMOUS, decision.current or Maturity.STUDENT
        refusal = await self._custom.refusal(tenant, agent_id, capability, required, current)
        if refusal is None:
            return decision
        return replace(decision, denial=refusal.denial, message=refusal.message)

    async def _read(self, tenant: str, agent_id: str, capability: str) -> Answer:
        now = self._clock()
        async with self._store.reading(tenant) as transaction:
            gate = await transaction.standings.gate(capability)
            agent = await transaction.standings.agent(agent_id)
            if gate is None:
                return Answer(unknown(capability, agent), now, next_day(now))
            settings = await transaction.standings.settings()
            counter = counter_for(capability, agent_id, limit_of(gate, settings), now)
            usage = await transaction.quotas.usage(counter, now)
        true_until = min(usage.next_lapse or next_day(now), next_day(now))
        return Answer(decide(gate, settings, agent, usage.used, now), now, true_until)

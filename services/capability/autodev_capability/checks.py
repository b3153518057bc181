"""Whether an agent may use a capability now, and why not."""

from collections.abc import Callable
from datetime import datetime

from autodev_capability.gates import Decision, Denial, decide, limit_of, next_day, unknown
from autodev_capability.quota import counter_for
from autodev_capability.snapshots import Answer, Snapshots
from autodev_capability.store import CapabilityStore
from autodev_runtime.errors import Unavailable


class Checks:
    """Answers from memory where that is fresh; see `snapshots.py`."""

    def __init__(self, store: CapabilityStore, snapshots: Snapshots, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock

    async def check(self, tenant: str, agent_id: str, capability: str) -> Decision:
        """Whether a reservation would be granted now. What cannot be read is a no."""
        try:
            return await self._snapshots.get(
                tenant, (agent_id, capability), lambda: self._read(tenant, agent_id, capability)
            )
        except Unavailable:
            return Decision(Denial.LIMIT, "the limit cannot be read at the moment, so nothing is allowed")

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

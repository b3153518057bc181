"""A workspace's settings and its own gates."""

from autodev_capability.gates import BUILT_IN_GATES, Gate, WorkspaceSettings, built_in_gate
from autodev_capability.store import CapabilityStore
from autodev_runtime.errors import FailedPrecondition
from autodev_runtime.repeating import repeatable


class Workspaces:
    """Reads and changes what a workspace allows."""

    def __init__(self, store: CapabilityStore) -> None:
        self._store = store

    async def settings(self, tenant: str) -> WorkspaceSettings:
        """The settings; the defaults until someone changed them."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.standings.settings()

    @repeatable
    async def change_settings(self, tenant: str, settings: WorkspaceSettings, changed_by: str) -> WorkspaceSettings:
        """Replace the settings."""
        async with self._store.writing(tenant) as transaction:
            await transaction.standings.save_settings(settings, changed_by)
        return settings

    @repeatable
    async def register_gate(self, tenant: str, gate: Gate) -> Gate:
        """Add or change a gate of the workspace's own. Raises FailedPrecondition for a built-in one's name."""
        if built_in_gate(gate.capability) is not None:
            raise FailedPrecondition(
                f"{gate.capability} is built in and cannot be changed; its settings can", reason="BUILT_IN_GATE"
            )
        if self._store.is_installed(gate.capability):
            raise FailedPrecondition(
                f"{gate.capability} is an extension's, which holds in every workspace", reason="INSTALLED_GATE"
            )
        async with self._store.writing(tenant) as transaction:
            await transaction.standings.save_gate(gate)
        return gate

    async def gates(self, tenant: str, after: Gate | None, limit: int) -> list[Gate]:
        """Gates after the given one: the built-in ones by name, then the workspace's own by name."""
        built_in = [
            gate for gate in BUILT_IN_GATES if after is None or (after.built_in and gate.capability > after.capability)
        ]
        own_after = after.capability if after is not None and not after.built_in else ""
        async with self._store.reading(tenant) as transaction:
            own = await transaction.standings.custom_gates(own_after, limit)
        return [*built_in, *own][:limit]

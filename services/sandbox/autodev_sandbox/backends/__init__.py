"""Ways to keep an execution apart, one module each. A backend has a level and three members: probe, run, close."""

from typing import Protocol

from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Outcome, Status

PROBE = Execution(code="def probe(word): return [word, 1]", entry_point="probe", inputs={"word": "ready"})


class Backend(Protocol):
    """One way, at one level."""

    @property
    def level(self) -> IsolationLevel:
        """What it gives."""

    async def probe(self) -> str:
        """Make ready, run something for real, and tell in a line what gives the level. Raises BackendUnavailable."""

    async def run(self, execution: Execution) -> Outcome:
        """Run one execution in a sandbox of its own and leave nothing behind. Raises BackendUnavailable."""

    async def close(self) -> None:
        """Remove whatever is left."""


async def prove(backend: Backend) -> None:
    """Run the probe; BackendUnavailable unless the right answer comes back."""
    outcome = await backend.run(PROBE)
    if outcome.status is not Status.OK or outcome.value != ["ready", 1]:
        raise BackendUnavailable(f"a trial run ended as {outcome.status.name}: {outcome.error or outcome.stderr}")

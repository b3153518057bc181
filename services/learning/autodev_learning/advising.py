"""The advisor: what the figures say, in a language model's words where there is one, by rules otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from autodev_learning.advisor import Figures, Guidance, Source, guidance_for
from autodev_learning.apart import apart
from autodev_learning.peers.capabilities import Workspace
from autodev_learning.proposers.llm.choice import Choice, NoAnswer
from autodev_learning.proposers.llm.spending import Purse
from autodev_runtime.errors import AutoDevError


class ModelAdvisor:
    """A model that words guidance, for those workspaces that let it be asked, so many at a time."""

    def __init__(
        self, choice: Choice, purse: Purse, workspace: Callable[[], Awaitable[Workspace]], at_a_time: int
    ) -> None:
        self._choice = choice
        self._purse = purse
        self._workspace = workspace
        self._at_a_time = at_a_time
        self._places = asyncio.Semaphore(at_a_time)

    async def advice(self, by_rules: Guidance) -> tuple[str, tuple[str, ...]]:
        """Its words and next steps. Raises NoAnswer with the reason."""
        await self._require_leave()
        # Who asks waits for no turn: the rules' words are there at once.
        if self._places.locked():
            raise NoAnswer(f"{self._choice.label} words guidance for {self._at_a_time} at a time, and as many ask now")
        async with self._places:
            return await apart(lambda: self._asked(by_rules))

    async def _require_leave(self) -> None:
        try:
            workspace = await self._workspace()
        except AutoDevError as error:
            raise NoAnswer(f"the workspace's settings cannot be read: {error.message}") from error
        if not workspace.enabled:
            raise NoAnswer("Auto-Dev is off in this workspace")
        if workspace.proposers and self._choice.proposer not in workspace.proposers:
            raise NoAnswer(f"{self._choice.proposer} is not among the workspace's proposers")

    async def _asked(self, by_rules: Guidance) -> tuple[str, tuple[str, ...]]:
        # The providers' libraries take long to import, which is not for the loop that serves.
        from autodev_learning.proposers.llm.advice import advice_on

        return await advice_on(self._choice, self._purse, by_rules)


async def guidance_on(figures: Figures, model: ModelAdvisor | None) -> Guidance:
    """Guidance for the figures. Figures, readiness and risks are always the rules'.

    A model gives its words and next steps; one that cannot be asked, or says nothing usable, leaves them to the rules.
    """
    by_rules = guidance_for(figures)
    if model is None:
        return by_rules
    try:
        text, steps = await model.advice(by_rules)
    except NoAnswer as error:
        return replace(by_rules, fallback_reason=str(error))
    return replace(by_rules, text=text, next_steps=steps, source=Source.LLM)

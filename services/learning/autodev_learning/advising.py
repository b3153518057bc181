"""The advisor: what the figures say, in a language model's words where there is one, by rules otherwise."""

from dataclasses import dataclass, replace

from autodev_learning.advisor import Figures, Guidance, Source, guidance_for
from autodev_learning.apart import apart
from autodev_learning.proposers.llm.choice import Choice, NoAnswer
from autodev_learning.proposers.llm.spending import Purse


@dataclass(frozen=True)
class Advisor:
    """Writes guidance. Figures, readiness and risks are always the rules'; a model gives its words and next steps."""

    choice: Choice | None
    purse: Purse

    async def guidance(self, figures: Figures) -> Guidance:
        """Guidance for the figures. A model that cannot be asked, or says nothing usable, leaves it to the rules."""
        by_rules = guidance_for(figures)
        choice = self.choice
        if choice is None:
            return by_rules

        async def asked() -> tuple[str, tuple[str, ...]]:
            # The providers' libraries take long to import, which is not for the loop that serves.
            from autodev_learning.proposers.llm.advice import advice_on

            return await advice_on(choice, self.purse, by_rules)

        try:
            text, steps = await apart(asked)
        except NoAnswer as error:
            return replace(by_rules, fallback_reason=str(error))
        return replace(by_rules, text=text, next_steps=steps, source=Source.LLM)

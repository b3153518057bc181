"""Guidance in a model's words, from the figures alone: it gets no code and no text of others."""

import asyncio
import dataclasses
import json
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, PromptedOutput, ToolOutput, UsageLimits
from pydantic_ai.exceptions import AgentRunError, ModelAPIError

from autodev_learning import metrics
from autodev_learning.advisor import Guidance
from autodev_learning.proposers.llm.choice import AnswerForm, Choice, NoAnswer
from autodev_learning.proposers.llm.models import BudgetedModel, model_of, told
from autodev_learning.proposers.llm.prompting import Part, rendered
from autodev_learning.proposers.llm.spending import BUDGET_SPENT, Purse
from autodev_learning.proposers.llm.transport import bounded_client
from autodev_runtime.errors import ResourceExhausted

MOST_STEPS, MOST_CHARACTERS = 8, 4_000


class Advice(BaseModel):
    """What to do next, and why."""

    guidance: str = Field(min_length=1, max_length=MOST_CHARACTERS, description="what the figures say, a few sentences")
    next_steps: list[str] = Field(max_length=MOST_STEPS, description="what to do, the most urgent first, a line each")


async def advice_on(choice: Choice, purse: Purse, by_rules: Guidance) -> tuple[str, tuple[str, ...]]:
    """A model's guidance and next steps. Raises NoAnswer with the reason."""
    prompt = rendered("advise_1", [Part("The figures", figures_told(by_rules))])
    output: Any = ToolOutput(Advice, name="advise") if choice.form is AnswerForm.TOOL else PromptedOutput(Advice)
    async with bounded_client(choice.max_answer_bytes, choice.timeout_s) as client:
        model = BudgetedModel(model_of(choice, client), choice, purse)
        agent = Agent(model, output_type=output, instructions=prompt.instructions, retries=choice.tries - 1)
        try:
            async with asyncio.timeout(choice.seconds):
                result = await agent.run(prompt.question, usage_limits=UsageLimits(request_limit=choice.tries))
        except ResourceExhausted as error:
            if error.reason != BUDGET_SPENT:
                raise
            metrics.LLM_REFUSALS.inc()
            raise NoAnswer(error.message) from error
        except TimeoutError as error:
            raise NoAnswer(f"{choice.label} gave no answer in {choice.seconds:g} s") from error
        except ModelAPIError as error:
            raise NoAnswer(f"{choice.label} cannot be asked: {told(error)}") from error
        except AgentRunError as error:
            raise NoAnswer(f"{choice.label} gave no answer that can be used") from error
    advice: Advice = result.output
    steps = (line for step in advice.next_steps if (line := _line(step)[:MOST_CHARACTERS]))
    return _line(advice.guidance), tuple(steps)


def figures_told(by_rules: Guidance) -> str:
    """All the figures as JSON, with the risks and the advice of the rules."""
    told: dict[str, Any] = dataclasses.asdict(by_rules.figures)
    told["readiness"] = by_rules.readiness
    told["risks"] = [{"kind": risk.kind, "severity": risk.severity, "detail": risk.detail} for risk in by_rules.risks]
    told["advice_by_rules"] = by_rules.next_steps
    return json.dumps(told, indent=1)


def _line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())

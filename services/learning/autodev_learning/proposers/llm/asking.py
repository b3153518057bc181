"""One problem put to a language model: the question, its answers tried in the sandbox, what was wrong told back."""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Any

from pydantic_ai import Agent, ModelRetry, TextOutput, ToolOutput, UsageLimits
from pydantic_ai.exceptions import AgentRunError, ModelAPIError

from autodev_learning import metrics
from autodev_learning.proposers import Aim, Budget, NoProposal, Problem, Proposal
from autodev_learning.proposers.llm.answers import Answer, WrongAnswer, answer_from_text, programs_of
from autodev_learning.proposers.llm.choice import AnswerForm, Choice
from autodev_learning.proposers.llm.models import BudgetedModel, model_of, told
from autodev_learning.proposers.llm.prompting import Part, Prompt, cut, fenced, outcomes_told, prompt_for
from autodev_learning.proposers.llm.spending import BUDGET_SPENT, Purse
from autodev_learning.proposers.llm.transport import bounded_client
from autodev_learning.proposers.trials import Draft, Trial, Trials
from autodev_learning.trial import Tester
from autodev_runtime.errors import ResourceExhausted

log = logging.getLogger(__name__)

MOST_STARTS = 16
FEEDBACK_CHARACTERS = 8_000


async def ask(tester: Tester, choice: Choice, purse: Purse, problem: Problem, budget: Budget) -> Proposal | NoProposal:
    """Ask for a program until one passes every visible example, the tries are used up, or the time or the money is.

    Raises what the sandbox raises.
    """
    trials = Trials(tester, problem, replace(budget, seconds=budget.seconds + choice.seconds))
    base = await _start(trials, problem)
    question = _Question(problem, choice, trials, prompt_for(problem, base, choice), base)
    async with bounded_client(choice.max_answer_bytes, choice.timeout_s) as client:
        model = BudgetedModel(model_of(choice, client), choice, purse.within(budget.allowance))
        try:
            async with asyncio.timeout(choice.seconds):
                winner, answer = await question.put(model)
        except ResourceExhausted as error:
            if error.reason != BUDGET_SPENT:
                raise
            metrics.LLM_REFUSALS.inc()
            return question.none(error.message, model)
        except TimeoutError:
            return question.none(f"{choice.label} gave no program in {choice.seconds:g} s", model)
        except ModelAPIError as error:
            return question.none(f"{choice.label} cannot be asked: {told(error)}", model)
        except AgentRunError as error:
            # Nothing of what the model said goes into the reason: people read it, and the log has it.
            log.info("%s gave no program: %s", choice.label, type(error).__name__)
            return question.none(f"{choice.label} gave no program that passes in {choice.tries} tries", model)
    return Proposal(
        code=winner.code,
        proposer=choice.proposer,
        edits=(f"by {choice.label}, prompt {question.prompt.version}", *answer.steps),
        examples_passed=sum(winner.passed),
        tried=trials.tried,
        seconds=trials.seconds,
        prompt_hash=question.prompt.hash,
        tokens=model.spent.tokens,
        cost_usd=model.spent.usd,
    )


async def _start(trials: Trials, problem: Problem) -> Trial | None:
    """The program to start from: the one that is to be improved, or the best of failed ones and variants, if any."""
    failed = [each.code for each in reversed(problem.failures)]
    codes = dict.fromkeys(failed if problem.aim is Aim.IMPROVE else (*problem.variants, *failed))
    tried = await trials.run([Draft(code) for code in list(codes)[:MOST_STARTS]])
    return max(tried, key=lambda trial: trial.score, default=None)


@dataclass
class _Question:
    """A problem and the conversation about it."""

    problem: Problem
    choice: Choice
    trials: Trials
    prompt: Prompt
    base: Trial | None

    async def put(self, model: BudgetedModel) -> tuple[Trial, Answer]:
        """Ask, try what is answered, say what was wrong, up to the tries. Raises AgentRunError."""
        tool = ToolOutput(Answer, name="propose", description="Give the program.")
        text = TextOutput(_answer_from_text)
        output: Any = [tool, text] if self.choice.form is AnswerForm.TOOL else text
        agent = Agent(model, output_type=output, instructions=self.prompt.instructions, retries=self.choice.tries - 1)
        won: list[Trial] = []

        @agent.output_validator
        async def tried(answer: Answer) -> Answer:
            won.append(await self._tried(answer))
            return answer

        result = await agent.run(self.prompt.question, usage_limits=UsageLimits(request_limit=self.choice.tries))
        return won[-1], result.output

    async def _tried(self, answer: Answer) -> Trial:
        """The program that an answer means, tried. Raises ModelRetry with what is wrong, for the model."""
        try:
            programs = programs_of(answer, self.base.code if self.base else "", self.problem.entry_points)
        except WrongAnswer as error:
            raise ModelRetry(str(error)) from error
        # What the model was shown may pass its examples; giving it back is no answer.
        told = {*(each.code for each in self.problem.failures), *self.problem.variants}
        trials = await self.trials.run([Draft(code) for code in programs if code not in told])
        if not trials:
            raise ModelRetry("This program was tried before, and does not do. Give another one.")
        best = max(trials, key=lambda trial: trial.score)
        if best.passes_all:
            return best
        raise ModelRetry(self._feedback(best))

    def _feedback(self, trial: Trial) -> str:
        outcomes = cut(outcomes_told(trial, self.problem.visible), FEEDBACK_CHARACTERS)
        data = fenced(Part("How your program does on the examples", outcomes), self.prompt.fence)
        return f"The program does not pass every example. Give a corrected answer.\n\n{data}"

    def none(self, reason: str, model: BudgetedModel) -> NoProposal:
        """Why there is no program, and what asking took."""
        best = self.trials.best
        answer = self.trials.no_proposal(
            self.choice.proposer, reason, [best.code] if best and best is not self.base else []
        )
        spent = model.spent
        return replace(answer, prompt_hash=self.prompt.hash, tokens=spent.tokens, cost_usd=spent.usd)


def _answer_from_text(text: str) -> Answer:
    try:
        return answer_from_text(text)
    except WrongAnswer as error:
        raise ModelRetry(str(error)) from error

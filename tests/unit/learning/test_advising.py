"""The advisor with and without a language model."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from autodev_learning.advising import ModelAdvisor, guidance_on
from autodev_learning.advisor import Day, Figures, Source, getting_worse, guidance_for, risks_of
from autodev_learning.peers.capabilities import Workspace
from autodev_learning.proposers.llm.choice import AnswerForm, Choice, Prices, Provider
from autodev_learning.proposers.llm.spending import Amount, Purse
from autodev_runtime.errors import Unavailable
from tests.llm import Book, Fault, LlmServer, Reply, Scripted, say

FIGURES = Figures(
    executions=100, failed_executions=30, mutations=4, passed_mutations=1, fruitless_in_a_row=3, candidates=10,
    overfit_candidates=5, tokens=1_000_000, trend=(Day("2026-03-01", 50, 45, 0.1), Day("2026-03-02", 50, 25, 0.1)),
)  # fmt: skip
ANY = Workspace(enabled=True, auto_promote=False, proposers=())
ADVICE = Reply({"guidance": "A third of the\nruns fail.", "next_steps": ["Mend it.", "  "]})


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as started:
        yield started


def choice(server: LlmServer) -> Choice:
    return Choice(Provider.OPENAI, "m", f"{server.url}/v1", prices=Prices(1, 2), timeout_s=2.0)


def advisor(choice: Choice, book: Book, workspace: Workspace = ANY, at_a_time: int = 2) -> ModelAdvisor:
    """One that is asked by a workspace with these settings."""

    async def settings() -> Workspace:
        return workspace

    return ModelAdvisor(choice, Purse.of(book), settings, at_a_time)


async def test_a_model_gives_its_words_and_the_rules_the_numbers(server: LlmServer) -> None:
    server.will_answer(ADVICE)
    book = Book()
    guidance = await guidance_on(FIGURES, advisor(choice(server), book))
    rules = guidance_for(FIGURES)
    assert (guidance.text, guidance.next_steps, guidance.source) == (
        "A third of the runs fail.",
        ("Mend it.",),
        Source.LLM,
    )
    assert (guidance.readiness, guidance.risks, guidance.figures) == (rules.readiness, rules.risks, FIGURES)
    assert book.amount.tokens == 1100
    assert '"2026-03-02"' in server.asked[0].text


async def test_a_model_without_tools_answers_as_text(server: LlmServer) -> None:
    server.will_answer(say('{"guidance": "All is well.", "next_steps": []}'))
    guidance = await guidance_on(FIGURES, advisor(replace(choice(server), form=AnswerForm.TEXT), Book()))
    assert (guidance.text, guidance.source) == ("All is well.", Source.LLM)


@pytest.mark.parametrize(
    ("script", "limit", "reason"),
    [
        (Fault.UNAUTHORIZED, 10**9, "cannot be asked: status 401"),
        (Fault.CUT, 10**9, "cannot be asked"),
        (say("I do not know."), 10**9, "gave no answer that can be used"),
        (Reply({"guidance": ""}), 10**9, "gave no answer that can be used"),
        (ADVICE, 100, "the day's budget for language models is spent"),
    ],
)
async def test_without_a_usable_answer_the_rules_say_it_and_why(
    server: LlmServer, script: Scripted, limit: int, reason: str
) -> None:
    server.will_answer(script)
    guidance = await guidance_on(FIGURES, advisor(choice(server), Book(Amount(limit, 10**15))))
    assert (guidance.text, guidance.source) == (guidance_for(FIGURES).text, Source.RULES)
    assert reason in guidance.fallback_reason


@pytest.mark.parametrize(
    ("workspace", "reason"),
    [
        (replace(ANY, enabled=False), "Auto-Dev is off in this workspace"),
        (replace(ANY, proposers=("search", "llm-small")), "llm is not among the workspace's proposers"),
    ],
)
async def test_a_workspace_that_leaves_the_model_out_sends_it_nothing(
    server: LlmServer, workspace: Workspace, reason: str
) -> None:
    server.will_answer(ADVICE)
    guidance = await guidance_on(FIGURES, advisor(choice(server), Book(), workspace))
    assert guidance == replace(guidance_for(FIGURES), fallback_reason=reason)
    assert not server.asked


async def test_where_the_workspaces_settings_cannot_be_read_the_model_is_not_asked(server: LlmServer) -> None:
    async def away() -> Workspace:
        raise Unavailable("capability is away")

    guidance = await guidance_on(FIGURES, ModelAdvisor(choice(server), Purse.of(Book()), away, 2))
    assert guidance.fallback_reason == "the workspace's settings cannot be read: capability is away"
    assert not server.asked


async def test_one_that_names_the_model_has_its_words(server: LlmServer) -> None:
    server.will_answer(ADVICE)
    workspace = replace(ANY, proposers=("search", "llm"))
    assert (await guidance_on(FIGURES, advisor(choice(server), Book(), workspace))).source is Source.LLM


async def test_beyond_so_many_at_a_time_the_rules_say_it(server: LlmServer) -> None:
    server.will_answer(Fault.SILENCE)
    model = advisor(choice(server), Book(), at_a_time=2)
    answers = await asyncio.gather(*(guidance_on(FIGURES, model) for _ in range(6)))
    reason = "openai:m words guidance for 2 at a time, and as many ask now"
    full = [each for each in answers if each.fallback_reason == reason]
    assert len(full) == 4
    assert all(each.text == guidance_for(FIGURES).text for each in answers)
    server.will_answer(ADVICE)
    assert (await guidance_on(FIGURES, model)).source is Source.LLM


async def test_without_a_model_the_rules_say_it() -> None:
    guidance = await guidance_on(FIGURES, None)
    assert guidance == guidance_for(FIGURES)
    assert guidance.next_steps
    assert guidance.fallback_reason == ""


def test_each_risk_has_its_numbers() -> None:
    numbers = {risk.kind.value: dict(risk.numbers) for risk in risks_of(FIGURES)}
    assert numbers["failure rate"]["failed runs"] == 30
    assert numbers["plateau"]["fruitless rewrites in a row"] == 3
    assert numbers["overfit"] == {"candidates": 10, "overfit candidates": 5}
    assert numbers["cost"]["tokens a run"] == 10_000


@pytest.mark.parametrize(
    ("later", "advice"),
    [
        (Day("2026-03-02", 20, 20, 1.0), ""),
        (Day("2026-03-02", 20, 18, 1.0), ""),
        (Day("2026-03-02", 20, 17, 1.0), "85% of the runs succeed since, 100% before"),
        (Day("2026-03-02", 20, 20, 1.6), "1.6 times as long"),
        (Day("2026-03-02", 9, 0, 9.0), ""),
    ],
)
def test_what_got_worse_over_the_days_is_said(later: Day, advice: str) -> None:
    told = getting_worse(Figures(trend=(Day("2026-03-01", 20, 20, 1.0), later)))
    assert advice in told
    assert bool(advice) is bool(told)

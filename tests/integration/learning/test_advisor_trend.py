"""The days and the counts that the advisor sees, on a real database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autodev_learning.advisor import Day
from autodev_learning.rows import SkillCandidateRow, SkillExecutionRow, ToolMutationRow
from autodev_learning.store.advisor import AdvisorStore
from autodev_runtime.database import Database
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from tests.storage import Storage

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


@pytest.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.open("learning") as opened:
        await upgrade(opened, "autodev_learning")
        yield opened


def run(number: int, at: datetime, *, success: bool, seconds: float, tokens: int, skill: str = "one") -> Any:
    return SkillExecutionRow(
        execution_id=f"run-{number}",
        skill_id=skill,
        agent_id="ada",
        success=success,
        execution_seconds=seconds,
        token_usage=tokens,
        created_at=at,
    )


def candidate(number: int, at: datetime | None, score: float) -> Any:
    return SkillCandidateRow(
        request_id=f"request-{number}",
        agent_id="ada",
        source_episode_id="episode",
        skill_name="f",
        skill_description="",
        generated_code="",
        failure_pattern={
            "task_description": "",
            "error_signature": "",
            "tool_calls": [],
            "segments": [],
            "visible": [],
            "held_out_examples": 0,
            "episode_ids": [],
        },
        fitness_score=score,
        validated_at=at,
        skill_id="one",
    )


async def test_each_utc_day_of_two_weeks_is_told_once(database: Database) -> None:
    midnight = NOON.replace(hour=0)
    rows = [
        run(1, NOON - timedelta(days=20), success=True, seconds=9, tokens=9),
        run(2, midnight - timedelta(seconds=1), success=False, seconds=3, tokens=5),
        run(3, midnight, success=True, seconds=1, tokens=10),
        run(4, NOON, success=False, seconds=2, tokens=20),
        run(5, NOON, success=True, seconds=7, tokens=1, skill="another"),
        candidate(1, NOON - timedelta(days=2), 0.5),
        candidate(2, NOON - timedelta(days=2), 1.0),
        candidate(3, NOON, 0.25),
        candidate(4, None, 0.0),
    ]
    store = AdvisorStore(database, lambda: NOON)
    async with database.session("acme") as session:
        session.add_all(rows)
    with acting_as(service_identity("learning", "acme")):
        assert (await store.figures("one")).trend == (
            Day("2026-03-13", scored=2, mean_score=0.75),
            Day("2026-03-14", 1, 0, 3.0, 5),
            Day("2026-03-15", 2, 1, 1.5, 30, 1, 0.25),
        )
        assert (await store.figures("")).trend[-1].executions == 3
    with acting_as(service_identity("learning", "globex")):
        assert (await store.figures("")).trend == ()


def mutation(number: int, outcome: str, overfit: str = "") -> Any:
    return ToolMutationRow(
        request_id=f"request-{number}",
        parent_tool_id="one@1.0.0",
        skill_id="one",
        agent_id="ada",
        tool_name="f",
        sandbox_status="failed" if overfit else "passed",
        provenance={"tokens": 10},
        outcome=outcome,
        overfit=overfit,
    )


async def test_what_was_made_is_counted_however_much_it_is(database: Database) -> None:
    mutations = [mutation(number, "promoted", "") for number in range(150)]
    mutations += [mutation(number, "discarded", "found") for number in range(150, 250)]
    candidates = [candidate(number, None, 0.0) for number in range(250)]
    for each in candidates:
        each.overfit, each.provenance = "found", {"tokens": 1}
    mutations.append(mutation(250, ""))
    async with database.session("acme") as session:
        session.add_all([*mutations, *candidates])
    with acting_as(service_identity("learning", "acme")):
        figures = await AdvisorStore(database).figures("one")
    assert (figures.mutations, figures.passed_mutations, figures.promoted_mutations) == (251, 151, 150)
    assert (figures.overfit_mutations, figures.fruitless_in_a_row) == (100, 100)
    assert (figures.candidates, figures.overfit_candidates) == (250, 250)
    assert figures.proposal_tokens == 2510 + 250

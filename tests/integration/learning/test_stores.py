"""The stores on a real database: each step writes once, whoever repeats it, and only for its tenant."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from autodev.gateway.v1.event_pb2 import Event
from autodev_learning.examples import Example
from autodev_learning.memento.candidates import Candidate, CandidateStatus, ExampleResult, ValidationResult
from autodev_learning.memento.memento import candidate_from
from autodev_learning.memento.reflection import Episode, Outcome, PatternRule
from autodev_learning.memento.validation import review_of_candidate
from autodev_learning.proposers import Proposal
from autodev_learning.rows import Base, OutboxRow
from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.registry import NextVersion, Rollback, Stage
from autodev_learning.skills.reviews import Decision, ReviewState, decided
from autodev_learning.store.candidates import CandidateStore
from autodev_learning.store.episodes import EpisodeStore
from autodev_learning.store.reviews import ReviewStore
from autodev_learning.store.skills import SkillStore, add_version
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.errors import FailedPrecondition, NotFound
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from tests.storage import Storage

TOTAL = "def total(values):\n    return sum(values)\n"
RULE = PatternRule()
START = datetime(2026, 3, 1, tzinfo=UTC)
PASSED = ValidationResult((ExampleResult("total([1])", "1", "1", "", passed=True, held_out=False),), 0.1, "NAMESPACE")


@dataclass(frozen=True)
class Stores:
    """Everything that the loop writes to."""

    database: Database
    outbox: Outbox
    episodes: EpisodeStore
    candidates: CandidateStore
    reviews: ReviewStore
    skills: SkillStore

    async def events(self) -> list[str]:
        """The kinds of the events that wait to be published, in order."""
        async with self.database.across_tenants() as session:
            rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.position))
            return [Event.FromString(row.event).WhichOneof("payload") or "" for row in rows]


@pytest.fixture
async def stores(storage: Storage) -> AsyncIterator[Stores]:
    async with storage.open("learning") as database:
        await upgrade(database, "autodev_learning")
        outbox = Outbox(database, OutboxRow)
        with acting_as(service_identity("learning", "acme")):
            yield Stores(
                database,
                outbox,
                EpisodeStore(database, outbox),
                CandidateStore(database, outbox),
                ReviewStore(database, outbox),
                SkillStore(database, outbox),
            )


def episode(
    name: str, agent: str = "a1", task: str = "sum a list", hours: int = 0, outcome: Outcome = Outcome.FAILURE
) -> Episode:
    return Episode(
        episode_id=name,
        event_id=f"event-{name}",
        agent_id=agent,
        outcome=outcome,
        task_description=task,
        error_trace="",
        error_signature="",
        code=f"def total(values):\n    return {len(name)}\n",
        preamble="",
        examples=(Example("total([1])", "1"),),
        tool_calls=(),
        segments=(),
        occurred_at=START + timedelta(hours=hours),
    )


def candidate(request: str, code: str = TOTAL) -> Candidate:
    source = episode("source")
    made = candidate_from(source, [source], Proposal(code, "case_bank", ("code that worked",), 1, 1, 0.1))
    return replace(made, request_id=request)


async def approved(
    stores: Stores, request: str, code: str = "def total(values):\n    return sum(values)\n"
) -> Candidate:
    """A candidate that a person has approved."""
    made = await stores.candidates.add(candidate(request, code), "")
    review = review_of_candidate(made, PASSED)
    await stores.candidates.record_validation(made, PASSED, review, "")
    await stores.reviews.decide(review.id, lambda waiting: decided(waiting, Decision.APPROVED, "ada", "", now()))
    return await stores.candidates.get(made.id)


async def test_the_migrations_make_the_tables_of_the_code(stores: Stores) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async with stores.database.engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), Base.metadata)
        )
    assert differences == []


async def test_an_event_that_comes_again_makes_no_second_pattern(stores: Stores) -> None:
    for _ in range(3):
        await stores.episodes.add_failure(episode("one"), RULE)
        await stores.episodes.add_failure(episode("two", hours=1), RULE)
    (pattern,) = await stores.episodes.list_patterns("", 10, None)
    assert pattern.episode_ids == ("one", "two")
    assert await stores.events() == ["failure_pattern_detected"]


async def test_failures_at_once_make_one_pattern_with_all_of_them(stores: Stores) -> None:
    failures = [episode(f"e{number}", hours=number) for number in range(20)]
    await asyncio.gather(*(stores.episodes.add_failure(each, RULE) for each in failures))
    (pattern,) = await stores.episodes.list_patterns("", 10, None)
    assert len(pattern.episode_ids) == 20
    assert await stores.events() == ["failure_pattern_detected"]


async def test_agents_have_patterns_of_their_own(stores: Stores) -> None:
    await stores.episodes.add_failure(episode("one", agent="a1"), RULE)
    await stores.episodes.add_failure(episode("two", agent="a2"), RULE)
    assert await stores.episodes.list_patterns("", 10, None) == []


async def test_tenants_have_episodes_of_their_own(stores: Stores) -> None:
    await stores.episodes.add_failure(episode("one"), RULE)
    with acting_as(service_identity("learning", "globex")):
        assert await stores.episodes.find_failure("one") is None
        assert await stores.episodes.add_failure(episode("one"), RULE) is None
        assert await stores.episodes.failing_programs(episode("one").task_key, 10) != []
    assert len(await stores.episodes.failing_programs(episode("one").task_key, 10)) == 1


async def test_cases_are_of_the_same_task_first_then_of_similar_ones(stores: Stores) -> None:
    for name, task in (("same", "sum a list"), ("similar", "sum a long list"), ("other", "parse a date")):
        await stores.episodes.add_success(episode(name, task=task, outcome=Outcome.SUCCESS))
    assert [each.episode_id for each in await stores.episodes.cases("sum a list", 10)] == ["same", "similar"]
    assert [each.episode_id for each in await stores.episodes.cases("sum a list", 1)] == ["same"]


async def test_a_success_is_no_failure(stores: Stores) -> None:
    await stores.episodes.add_success(episode("good", outcome=Outcome.SUCCESS))
    assert await stores.episodes.find_failure("good") is None
    assert await stores.episodes.add_failure(episode("bad"), RULE) is None


async def test_pages_of_patterns_hold_each_once(stores: Stores) -> None:
    for number in range(5):
        await stores.episodes.add_failure(episode(f"e{number}", agent=f"a{number}"), PatternRule(threshold=1))
    seen: list[str] = []
    page = await stores.episodes.list_patterns("", 2, None)
    while page:
        seen += [pattern.agent_id for pattern in page]
        page = await stores.episodes.list_patterns("", 2, page[-1].id)
    assert seen == ["a4", "a3", "a2", "a1", "a0"]


async def test_one_request_makes_one_candidate(stores: Stores) -> None:
    first, second = candidate("request:r"), candidate("request:r")
    written = await asyncio.gather(stores.candidates.add(first, ""), stores.candidates.add(second, ""))
    assert written[0] == written[1]
    assert await stores.events() == ["candidate_generated"]


async def test_a_candidate_comes_back_as_it_was_written(stores: Stores) -> None:
    written = candidate("request:r")
    await stores.candidates.add(written, "")
    assert await stores.candidates.get(written.id) == written


async def test_a_candidate_is_validated_once(stores: Stores) -> None:
    made = await stores.candidates.add(candidate("request:r"), "")
    for _ in range(2):
        written = await stores.candidates.record_validation(made, PASSED, review_of_candidate(made, PASSED), "")
    assert written.status is CandidateStatus.VALIDATED
    assert await stores.events() == ["candidate_generated", "candidate_validated", "review_requested"]
    assert len(await stores.reviews.page(ReviewState.WAITING, 10, None)) == 1


async def test_a_decision_and_its_event_are_written_once(stores: Stores) -> None:
    made = await stores.candidates.add(candidate("request:r"), "")
    review = review_of_candidate(made, PASSED)
    await stores.candidates.record_validation(made, PASSED, review, "")
    for _ in range(2):
        await stores.reviews.decide(review.id, lambda waiting: decided(waiting, Decision.REJECTED, "ada", "no", now()))
    with pytest.raises(FailedPrecondition):
        await stores.reviews.decide(review.id, lambda waiting: decided(waiting, Decision.APPROVED, "bob", "", now()))
    assert (await stores.events())[-1:] == ["review_decided"]
    assert (await stores.events()).count("review_decided") == 1
    assert (await stores.candidates.get(made.id)).status is CandidateStatus.REJECTED
    assert [each.reviewer for each in await stores.reviews.page(ReviewState.DECIDED, 10, None)] == ["ada"]


async def test_only_an_approved_candidate_is_promoted_and_once(stores: Stores) -> None:
    pending = await stores.candidates.add(candidate("request:pending"), "")
    with pytest.raises(FailedPrecondition) as error:
        await stores.skills.promote(pending.id, "")
    assert error.value.reason == "NOT_APPROVED"
    made = await approved(stores, "request:approved")
    promotions = await asyncio.gather(*(stores.skills.promote(made.id, "") for _ in range(3)))
    assert {each.skill_id for each in promotions} == {promotions[0].skill_id}
    assert (await stores.events()).count("skill_promoted") == 1
    skill = await stores.skills.get("total")
    assert (skill.active.version, skill.active.approved_by, skill.active.source_id) == ("1.0.0", "ada", made.id)


async def test_other_code_of_the_same_name_is_another_skill(stores: Stores) -> None:
    for request, code in (("one", TOTAL), ("two", "total = sum\n")):
        await stores.skills.promote((await approved(stores, request, code)).id, "")
    assert [skill.name for skill in await stores.skills.page(10, None)] == ["total", "total_2"]
    assert [skill.name for skill in await stores.skills.page(10, "total")] == ["total_2"]


async def next_version(stores: Stores, skill_id: str, parent: str, source: str, stage: Stage = Stage.ACTIVE) -> str:
    addition = NextVersion(skill_id, parent, f"def total(values): # {source}\n    ...\n", source, Provenance(), "ada")
    async with stores.database.session("acme") as session:
        return await add_version(session, addition, stage)


async def test_a_rewrite_is_the_next_version_and_keeps_its_parent(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    assert await next_version(stores, skill.id, "1.0.0", "m1") == "1.1.0"
    assert await next_version(stores, skill.id, "1.0.0", "m1") == "1.1.0"
    skill = await stores.skills.get("total")
    assert (skill.active.version, skill.active.parent_version) == ("1.1.0", "1.0.0")
    assert skill.active.examples == (Example("total([1])", "1"),)
    assert [version.version for _, version in await stores.skills.versions(skill.id, 10, None)] == ["1.1.0", "1.0.0"]


async def test_a_trial_becomes_active_or_ends_with_a_rollback(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill_id = (await stores.skills.get("total")).id
    await next_version(stores, skill_id, "1.0.0", "m1", Stage.CANARY)
    on_trial = await stores.skills.get("total")
    assert on_trial.canary is not None
    assert (on_trial.active.version, on_trial.canary.version) == ("1.0.0", "1.1.0")
    await next_version(stores, skill_id, "1.0.0", "m1", Stage.ACTIVE)
    kept = await stores.skills.get("total")
    assert (kept.active.version, kept.canary) == ("1.1.0", None)
    await next_version(stores, skill_id, "1.1.0", "m2", Stage.CANARY)
    back = await stores.skills.roll_back(Rollback("r", skill_id, "", "ada", "slow"))
    assert (back.active.version, back.canary) == ("1.0.0", None)


async def test_a_rollback_steps_back_once_a_request(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill_id = (await stores.skills.get("total")).id
    await next_version(stores, skill_id, "1.0.0", "m1")
    await next_version(stores, skill_id, "1.1.0", "m2")
    for _ in range(2):
        skill = await stores.skills.roll_back(Rollback("first", "total", "", "ada", "wrong"))
        assert skill.active.version == "1.1.0"
    assert (await stores.skills.roll_back(Rollback("second", "total", "", "ada", ""))).active.version == "1.0.0"
    assert (await stores.skills.roll_back(Rollback("third", "total", "1.2.0", "ada", ""))).active.version == "1.2.0"
    assert (await stores.events()).count("skill_rolled_back") == 3
    with pytest.raises(NotFound):
        await stores.skills.roll_back(Rollback("fourth", "total", "7.0.0", "ada", ""))
    assert await next_version(stores, skill_id, "1.2.0", "m3") == "1.3.0"

"""The stores on a real database: each step writes once, whoever repeats it, and only for its tenant."""

import asyncio
import importlib
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import event as hooks
from sqlalchemy import select

from autodev.gateway.v1.event_pb2 import Event, SkillRolledBack
from autodev_learning.evolution.canary_rule import Arm, Look
from autodev_learning.evolution.comparison import Purpose
from autodev_learning.evolution.generation import Generation
from autodev_learning.evolution.mutations import Order, TrialEnd, mutation_from
from autodev_learning.evolution.mutations import Outcome as MutationOutcome
from autodev_learning.evolution.opportunities import SkillRun, Start, Trigger
from autodev_learning.evolution.rewriting import Rewrite, Rewriter
from autodev_learning.examples import Example, call_key
from autodev_learning.memento.candidates import Candidate, CandidateStatus, ExampleResult, ValidationResult
from autodev_learning.memento.memento import candidate_from
from autodev_learning.memento.reflection import NO_EXAMPLES, Answering, Episode, FailurePattern, Outcome, PatternRule
from autodev_learning.memento.validation import review_of_candidate
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.proof.agreement import Difference, GeneratedCheck, Overfit
from autodev_learning.proof.domains import Kind
from autodev_learning.proof.suites import Source
from autodev_learning.proposers import Proposal
from autodev_learning.rows import Base, OutboxRow, SkillRollbackRow
from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.registry import NextVersion, Rollback, Skill, Skills, Stage
from autodev_learning.skills.reviews import Decision, ReviewState, SubjectKind, decided, review_of
from autodev_learning.skills.runs import Run, version_shown
from autodev_learning.store.candidates import CandidateStore
from autodev_learning.store.episodes import EpisodeStore
from autodev_learning.store.evolution import EvolutionStore
from autodev_learning.store.mutations import MutationStore
from autodev_learning.store.reviews import ReviewStore
from autodev_learning.store.runs import RunStore
from autodev_learning.store.skills import SkillStore, add_version
from autodev_learning.store.suites import MOST_MEMBERS, Addition, SuiteStore, grow_suite
from autodev_learning.store.trials import TrialStore
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.errors import FailedPrecondition, NotFound
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from tests.integration.learning.test_failures import by_revision
from tests.storage import Storage

TOTAL = "def total(values):\n    return sum(values)\n"
RULE = PatternRule()
PURPOSES = importlib.import_module("autodev_learning.migrations.versions.0013_purpose_of_mutations")
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

    async def threads(self) -> list[tuple[str, str, str]]:
        """The kinds of the events that wait to be published, what they belong to, and what caused them, in order."""
        async with self.database.across_tenants() as session:
            rows = await session.scalars(select(OutboxRow.event).order_by(OutboxRow.position))
            events = [Event.FromString(row) for row in rows]
        return [(each.WhichOneof("payload") or "", each.correlation_id, each.causation_id) for each in events]

    async def rollbacks(self) -> list[SkillRolledBack]:
        """What is announced of rollbacks; there is a row of each."""
        in_order = select(OutboxRow.event).order_by(OutboxRow.position)
        async with self.database.across_tenants() as session:
            events = [Event.FromString(each) for each in await session.scalars(in_order)]
            rows = list(await session.scalars(select(SkillRollbackRow).order_by(SkillRollbackRow.id)))
        told = [each.skill_rolled_back for each in events if each.HasField("skill_rolled_back")]
        assert [(row.from_version, row.to_version, row.operator, row.reason) for row in rows] == [
            (each.from_version, each.to_version, each.operator, each.reason) for each in told
        ]
        return told


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
        await stores.episodes.add_failure(episode("one"), RULE, None)
        await stores.episodes.add_failure(episode("two", hours=1), RULE, None)
    (pattern,) = await stores.episodes.list_patterns("", 10, None)
    assert pattern.episode_ids == ("one", "two")
    assert await stores.events() == ["failure_pattern_detected"]


async def skipped_pattern(stores: Stores, reason: str) -> FailurePattern:
    """The pattern of two failures, which gets no candidate for a reason."""
    await stores.episodes.add_failure(episode("one"), RULE, None)
    pattern = await stores.episodes.add_failure(episode("two", hours=1), RULE, None)
    assert pattern is not None
    await stores.episodes.skip_pattern(pattern.id, reason)
    return pattern


async def announced(stores: Stores) -> int:
    return (await stores.events()).count("failure_pattern_detected")


async def test_a_skipped_pattern_is_announced_again_by_the_next_failure_once(stores: Stores) -> None:
    pattern = await skipped_pattern(stores, "the day's limit")
    for again in ("one", "two"):
        await stores.episodes.add_failure(episode(again), RULE, None)
    assert await announced(stores) == 1
    for name in ("three", "four", "three"):
        assert await stores.episodes.add_failure(episode(name, hours=2), RULE, None) is None
    assert await announced(stores) == 2
    await stores.episodes.skip_pattern(pattern.id, "the day's limit")
    await stores.episodes.add_failure(episode("three", hours=2), RULE, None)
    assert await announced(stores) == 2
    await stores.episodes.add_failure(episode("five", hours=3), RULE, None)
    assert await announced(stores) == 3


async def test_a_skipped_pattern_waits_for_a_day_whose_limit_is_not_met(stores: Stores) -> None:
    pattern = await skipped_pattern(stores, "the day's limit")
    await stores.episodes.add_failure(episode("three"), RULE, None, Answering.ANOTHER_DAY)
    assert await announced(stores) == 1
    assert (await stores.episodes.get_pattern(pattern.id)).skipped_reason == "the day's limit"


async def test_a_pattern_without_examples_waits_for_a_failure_that_has_some(stores: Stores) -> None:
    await skipped_pattern(stores, NO_EXAMPLES)
    await stores.episodes.add_failure(replace(episode("three"), examples=()), RULE, None)
    assert await announced(stores) == 1
    # Whether the limit lets it be answered today is another question, whose answer is noted then.
    await stores.episodes.add_failure(episode("four"), RULE, None, Answering.ANOTHER_DAY)
    assert await announced(stores) == 2


async def test_an_answered_pattern_is_neither_skipped_nor_announced_again(stores: Stores) -> None:
    pattern = await skipped_pattern(stores, "the day's limit")
    made = await stores.candidates.add(replace(candidate("r1"), pattern_id=pattern.id), "")
    await stores.episodes.skip_pattern(pattern.id, "the day's limit")
    await stores.episodes.add_failure(episode("three"), RULE, None)
    answered = await stores.episodes.get_pattern(pattern.id)
    assert (answered.candidate_id, answered.skipped_reason) == (made.id, "")
    assert await announced(stores) == 1


async def test_failures_at_once_make_one_pattern_with_all_of_them(stores: Stores) -> None:
    failures = [episode(f"e{number}", hours=number) for number in range(20)]
    await asyncio.gather(*(stores.episodes.add_failure(each, RULE, None) for each in failures))
    (pattern,) = await stores.episodes.list_patterns("", 10, None)
    assert len(pattern.episode_ids) == 20
    assert await stores.events() == ["failure_pattern_detected"]


async def test_agents_have_patterns_of_their_own(stores: Stores) -> None:
    await stores.episodes.add_failure(episode("one", agent="a1"), RULE, None)
    await stores.episodes.add_failure(episode("two", agent="a2"), RULE, None)
    assert await stores.episodes.list_patterns("", 10, None) == []


async def test_tenants_have_episodes_of_their_own(stores: Stores) -> None:
    await stores.episodes.add_failure(episode("one"), RULE, None)
    with acting_as(service_identity("learning", "globex")):
        assert await stores.episodes.find_failure("one") is None
        assert await stores.episodes.add_failure(episode("one"), RULE, None) is None
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
    assert await stores.episodes.add_failure(episode("bad"), RULE, None) is None


async def test_pages_of_patterns_hold_each_once(stores: Stores) -> None:
    for number in range(5):
        await stores.episodes.add_failure(episode(f"e{number}", agent=f"a{number}"), PatternRule(threshold=1), None)
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


async def test_a_candidates_events_belong_to_its_episode_up_to_the_rollback(stores: Stores) -> None:
    made = await approved(stores, "request:r")
    await stores.skills.promote(made.id, "the decision")
    skill = await stores.skills.get("total")
    await next_version(stores, skill.id, "1.0.0", "m1")
    await stores.skills.roll_back(Rollback("back", skill.id, "", "ada", "wrong"))
    await stores.skills.roll_back(Rollback("forth", skill.id, "1.1.0", "ada", "right"))
    assert await stores.threads() == [
        ("candidate_generated", "source", ""),
        ("candidate_validated", "source", ""),
        ("review_requested", "source", ""),
        ("review_decided", "source", ""),
        ("skill_promoted", "source", "the decision"),
        ("skill_rolled_back", "m1", ""),
        ("skill_rolled_back", "source", ""),
    ]


@pytest.mark.parametrize("key", ["experiment:exp-1:3", "request:m"])
async def test_a_mutations_events_belong_to_its_experiment_or_to_itself(stores: Stores, key: str) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    before = len(await stores.threads())
    mutations = MutationStore(stores.database, stores.outbox)
    rewrite = Rewrite("def total(values): ...\n", Purpose.FASTER, Provenance())
    mutation = mutation_from(Order(key, "m", skill.id, skill.name, "1.0.0", "a1"), rewrite)
    thread = mutation.experiment_id or mutation.id
    await mutations.add(mutation, None, "started")
    await mutations.record_run(mutation, "", (), None, "generated")
    review = review_of(SubjectKind.MUTATION, mutation.id, "a1", title="t", code="c", replaces="", evidence=())
    await mutations.ask_for_review(mutation.id, review, "it wins", "executed")
    await stores.reviews.decide(review.id, lambda waiting: decided(waiting, Decision.APPROVED, "ada", "", now()))
    await mutations.put_on_trial(mutation.id, 0.3, "approved by ada", "ada", "decision")
    await mutations.end_trial(mutation.id, TrialEnd("worse", "it fails more often", caused_by="run"))
    assert (await stores.threads())[before:] == [
        ("mutation_generated", thread, "started"),
        ("mutation_executed", thread, "generated"),
        ("review_requested", thread, "executed"),
        ("review_decided", thread, ""),
        ("skill_trial_started", thread, "decision"),
        ("skill_rolled_back", thread, "run"),
    ]


async def test_a_review_shows_the_preamble_that_is_promoted_with_the_code(stores: Stores) -> None:
    with_preamble = replace(candidate("request:p"), preamble="LIMIT = 2\n")
    made = await stores.candidates.add(with_preamble, "")
    review = review_of_candidate(made, PASSED)
    await stores.candidates.record_validation(made, PASSED, review, "")
    assert (await stores.reviews.get(review.id)).preamble == "LIMIT = 2\n"
    assert [each.preamble for each in await stores.reviews.page(ReviewState.ALL, 10, None)] == ["LIMIT = 2\n"]
    answer = await stores.reviews.decide(review.id, lambda it: decided(it, Decision.APPROVED, "ada", "", now()))
    assert answer.preamble == "LIMIT = 2\n"
    await stores.skills.promote(made.id, "")
    assert (await stores.skills.get("total")).active.preamble == "LIMIT = 2\n"

    mutations = MutationStore(stores.database, stores.outbox)
    rewrite, waiting = await waiting_for_a_person(stores, mutations, "rewrite")
    assert (await stores.reviews.get(waiting)).preamble == "LIMIT = 2\n"
    await mutations.promote(rewrite, "ada")
    active = (await stores.skills.get("total")).active
    assert (active.version, active.preamble) == ("1.1.0", "LIMIT = 2\n")
    assert (await stores.reviews.get(waiting)).preamble == "LIMIT = 2\n"


async def test_other_code_of_the_same_name_is_another_skill(stores: Stores) -> None:
    for request, code in (("one", TOTAL), ("two", "total = sum\n")):
        await stores.skills.promote((await approved(stores, request, code)).id, "")
    assert [skill.name for skill in await stores.skills.page(10, None)] == ["total", "total_2"]
    assert [skill.name for skill in await stores.skills.page(10, "total")] == ["total_2"]


async def test_what_is_approved_runs_though_an_earlier_version_was_the_same(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:one")).id, "")
    skill = await stores.skills.get("total")
    await next_version(stores, skill.id, "1.0.0", "m1")
    again = await stores.skills.promote((await approved(stores, "request:two")).id, "")
    assert again.skill_id is not None
    promoted = await stores.skills.get(again.skill_id)
    assert (promoted.name, promoted.active.version, promoted.active.code) == ("total_2", "1.0.0", TOTAL)
    assert (promoted.active.source_id, promoted.active.approved_by) == (again.id, "ada")
    assert (await stores.skills.get("total")).active.version == "1.1.0"
    await stores.skills.roll_back(Rollback("r", skill.id, "", "ada", "wrong"))
    third = await stores.skills.promote((await approved(stores, "request:three")).id, "")
    assert third.skill_id == skill.id


async def test_a_page_of_skills_is_asked_for_at_once(stores: Stores) -> None:
    for number in range(4):
        await stores.skills.promote((await approved(stores, f"request:{number}", f"{TOTAL}# {number}\n")).id, "")
    on_trial = await stores.skills.get("total_3")
    await next_version(stores, on_trial.id, "1.0.0", "m1", Stage.CANARY)
    asked: list[str] = []

    def note(_: object, __: object, sql: str, *___: object) -> None:
        asked.append(sql)

    async def statements(found: Awaitable[list[Skill]], names: list[str]) -> int:
        asked.clear()
        assert [skill.name for skill in await found] == names
        return len(asked)

    hooks.listen(stores.database.engine.sync_engine, "before_cursor_execute", note)
    names = ["total", "total_2", "total_3", "total_4"]
    one = await statements(stores.skills.page(1, None), ["total"])
    assert await statements(stores.skills.page(4, None), names) == one > 0
    assert await statements(stores.skills.search(["sum", "list"], 4, None), names) == one
    trials = [skill.canary.version if skill.canary else None for skill in await stores.skills.page(4, None)]
    assert trials == [None, None, "1.1.0", None]
    with acting_as(service_identity("learning", "other")):
        assert await stores.skills.page(4, None) == []


@pytest.mark.parametrize("described", ["Überzahl der ÄPFEL", "überzahl der äpfel", "ÜBERZAHL: ΣΟΦΊΑ, 100% äpfel"])
@pytest.mark.parametrize("query", ["Überzahl", "ÜBERZAHL ÄPFEL", "überzahl äpfel"])
async def test_a_search_finds_words_in_any_case_of_any_alphabet(stores: Stores, described: str, query: str) -> None:
    made = await stores.candidates.add(replace(candidate("request:r"), skill_description=described), "")
    review = review_of_candidate(made, PASSED)
    await stores.candidates.record_validation(made, PASSED, review, "")
    await stores.reviews.decide(review.id, lambda waiting: decided(waiting, Decision.APPROVED, "ada", "", now()))
    await stores.skills.promote(made.id, "")
    skills = Skills(stores.skills)
    assert [skill.name for skill in await skills.search(query, 10, None)] == ["total"]
    assert await skills.search(f"{query} birnen", 10, None) == []
    assert [skill.name for skill in await skills.search("σοφία", 10, None)] == ["total"] * ("ΣΟΦΊΑ" in described)


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
    mutations = MutationStore(stores.database, stores.outbox)
    tried = await rewrite_that_wins(stores, mutations, "tried", "1.1.0")
    await mutations.put_on_trial(tried, 0.3, "it wins")
    for _ in range(2):
        back = await stores.skills.roll_back(Rollback("r", skill_id, "", "ada", "slow"))
        assert (back.active.version, back.canary) == ("1.0.0", None)
    assert [described(each) for each in await stores.rollbacks()] == [
        ("1.2.0", "1.1.0", "ada", "the skill was rolled back", False),
        ("1.1.0", "1.0.0", "ada", "slow", False),
    ]


def described(told: SkillRolledBack) -> tuple[str, str, str, str, bool]:
    return told.from_version, told.to_version, told.operator, told.reason, told.automatic


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


async def test_nobody_goes_back_to_a_version_that_is_on_trial_or_failed_there(stores: Stores) -> None:
    mutations, mutation_id, skill_id = await mutation_on_trial(stores)
    to_it = Rollback("r", skill_id, "1.1.0", "ada", "")
    with pytest.raises(FailedPrecondition, match=r"1\.1\.0 was never the active one") as refused:
        await stores.skills.roll_back(to_it)
    assert refused.value.reason == "NEVER_IN_USE"
    assert (await mutations.get(mutation_id)).outcome is MutationOutcome.CANARY
    await mutations.end_trial(mutation_id, TrialEnd("worse", "it fails more often"))
    with pytest.raises(FailedPrecondition, match=r"1\.1\.0 was never the active one"):
        await stores.skills.roll_back(to_it)


async def test_a_rollback_of_what_was_promoted_is_taken_back(stores: Stores) -> None:
    mutations, mutation_id, skill_id = await mutation_on_trial(stores)
    await mutations.promote(mutation_id, "", "20 good runs on trial")
    assert (await stores.skills.roll_back(Rollback("back", skill_id, "", "ada", ""))).active.version == "1.0.0"
    assert (await stores.skills.roll_back(Rollback("forth", skill_id, "1.1.0", "ada", ""))).active.version == "1.1.0"


def run_of(
    skill_id: str, execution_id: str, version: str, call: str = "", output: str = "", expected: str = ""
) -> SkillRun:
    return SkillRun(execution_id, "a1", skill_id, version, 0.5, 0, True, output, call, expected)


async def test_a_suite_begins_with_the_task_and_grows_by_good_calls_of_the_active_version(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution, suites = EvolutionStore(stores.database, stores.outbox, 24), SuiteStore(stores.database)
    for name, version, output, expected in (
        ("good", "1.0.0", "3", "3"),
        ("again", "1.0.0", "4", "4"),
        ("wrong", "1.0.0", "5", "6"),
        ("unknown", "1.0.0", "7", ""),
        ("other version", "1.1.0", "8", "8"),
    ):
        call = "total([1, 2])" if name in ("good", "again") else f"total([{output}])"
        await evolution.keep_run(run_of(skill.id, name, version, call, output, expected), skill, {}, "", "")
    for call in ("__import__('os')._exit(0)", "total(globals().clear() or [3])"):
        await evolution.keep_run(run_of(skill.id, call, "1.0.0", call, "3", "3"), skill, {}, "", "")
    members = await suites.members(skill.id)
    assert [(each.call, each.expected, each.source, each.source_id) for each in members[1:]] == [
        ("total([1, 2])", "3", Source.RUN, "good")
    ]
    assert (members[0].call, members[0].source) == ("total([1])", Source.TASK)
    assert await suites.expected(skill.id, "total( [1,2] )") == "3"
    assert await suites.expected(skill.id, "total([9])") == ""
    assert [each.call for each in await suites.page(skill.id, 10, members[0].id)] == ["total([1, 2])"]
    with acting_as(service_identity("learning", "other")):
        assert await suites.members(skill.id) == []


async def test_what_a_run_must_give_is_said_once(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution = EvolutionStore(stores.database, stores.outbox, 24)
    for expected in ("", "7", "8", ""):
        run = run_of(skill.id, "one", "1.0.0", "total([3, 4])", "", expected)
        await evolution.keep_run(run, skill, {}, "", "")
    known = await evolution.known_inputs(skill.id, skill.active)
    assert [each.expected for each in known if each.call == "total([3, 4])"] == ["7"]


async def test_what_is_held_out_stays_so_however_an_agent_writes_the_call(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    version = replace(skill.active, examples=tuple(Example(f"total([{n}])", str(n)) for n in range(3)))
    of_another_task = Addition(Example("total([8])", "8"), Source.TASK, "c2", held_out=True)
    async with stores.database.session("acme") as session:
        await grow_suite(session, skill.id, [of_another_task])
    evolution = EvolutionStore(stores.database, stores.outbox, 24)
    for place, (call, expected) in enumerate(
        [("total( [2] )", "2"), ("total([ 8])", "8"), ("total([9])", "9"), ("total([ 9 ])", ""), ("total( [0])", "")]
    ):
        await evolution.keep_run(run_of(skill.id, f"run-{place}", "1.0.0", call, "", expected), skill, {}, "", "")
    known = await evolution.known_inputs(skill.id, version)
    assert {call_key(each.call): (each.expected, each.held_out) for each in known} == {
        "total([0])": ("0", False),
        "total([1])": ("1", False),
        "total([2])": ("2", True),
        "total([8])": ("8", True),
        "total([9])": ("9", False),
    }
    assert len(known) == 5


async def test_a_full_suite_takes_no_more_and_what_is_no_literal_never_enters(stores: Stores) -> None:
    suites = SuiteStore(stores.database)
    many = [Addition(Example(f"f({n})", "1"), Source.RUN, "r") for n in range(MOST_MEMBERS + 5)]
    bad = [Addition(Example("g()", "<object>"), Source.RUN, "r"), Addition(Example("", "1"), Source.RUN, "r")]
    for _ in range(2):
        async with stores.database.session("acme") as session:
            await grow_suite(session, "s1", [*bad, *many])
    members = await suites.members("s1")
    assert [each.call for each in members] == [f"f({n})" for n in range(MOST_MEMBERS)]


async def test_a_trials_figures_are_counted_in_the_order_of_the_runs_and_each_run_once(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution, trials = EvolutionStore(stores.database, stores.outbox, 24), TrialStore(stores.database)

    async def ran(name: str, version: str, *, success: bool = True) -> None:
        run = replace(run_of(skill.id, name, version), success=success)
        # Delivered twice, by two replicas: the database counts one.
        await asyncio.gather(*(evolution.keep_run(run, skill, {}, "", "") for _ in range(2)))

    for number in range(3):
        await ran(f"before-{number}", "1.0.0", success=number > 0)
    await next_version(stores, skill.id, "1.0.0", "m1", Stage.CANARY)
    for number in range(4):
        await ran(f"live-{number}", "1.0.0")
        await ran(f"trial-{number}", "1.1.0", success=number != 1)
    figures = await trials.figures(skill.id, "1.1.0", "1.0.0", (2, 3, 9))
    assert figures.now == Look(Arm(4, 1), Arm(7, 1))
    assert figures.looks == (Look(Arm(2, 1), Arm(5, 1)), Look(Arm(3, 1), Arm(6, 1)))
    assert figures.stable_live == Arm(4, 0)
    assert figures.canary_seconds == figures.stable_seconds == 0.5


def executed_run(skill_id: str, execution_id: str, call: str) -> Run:
    return Run(
        execution_id, skill_id, "total", "1.1.0", "a1", call, success=True, has_result=True, result=1,
        result_literal="1", error="", stdout="", sandbox_status="OK", execution_seconds=0.5,
    )  # fmt: skip


async def test_a_report_keeps_no_run_of_the_services_own_from_its_id(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution, trials = EvolutionStore(stores.database, stores.outbox, 24), TrialStore(stores.database)
    executed = RunStore(stores.database, stores.outbox)
    guessed = replace(run_of(skill.id, "run-1", "", "total([9])", "9"), success=False)
    await evolution.keep_run(guessed, skill, {}, "", "")
    await next_version(stores, skill.id, "1.0.0", "m1", Stage.CANARY)
    ran = executed_run(skill.id, "run-1", "total([1])")
    for _ in range(2):
        assert await executed.add(ran, "r", "1.1.0") == ran
    assert await executed.find("run-1") == ran
    await evolution.keep_run(guessed, skill, {}, "", "")
    assert (await trials.figures(skill.id, "1.1.0", "1.0.0", ())).now == Look(Arm(1, 0), Arm(0, 0))
    assert (await stores.events()).count("skill_executed") == 1
    assert "total([9])" not in {each.call for each in await evolution.known_inputs(skill.id, skill.active)}


async def test_a_run_that_names_no_version_or_calls_no_entry_point_counts_in_no_trial(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution, trials = EvolutionStore(stores.database, stores.outbox, 24), TrialStore(stores.database)
    executed = RunStore(stores.database, stores.outbox)
    await next_version(stores, skill.id, "1.0.0", "m1", Stage.CANARY)
    for number in range(3):
        await evolution.keep_run(run_of(skill.id, f"reported-{number}", "", "total([1])", "1"), skill, {}, "", "")
        for call in ("1", "total([1])"):
            name = f"{call}-{number}"
            ran = executed_run(skill.id, name, call)
            await executed.add(ran, name, version_shown(call, await stores.skills.version(skill.id, "1.1.0")))
            assert await executed.find(name) == ran
            # Its event, which the service reads as it reads those of runtimes.
            await evolution.keep_run(run_of(skill.id, name, "1.1.0", call, "1"), skill, {}, "", "")
    assert (await trials.figures(skill.id, "1.1.0", "1.0.0", ())).now == Look(Arm(3, 0), Arm(0, 0))


async def mutation_on_trial(stores: Stores) -> tuple[MutationStore, str, str]:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    mutations = MutationStore(stores.database, stores.outbox)
    order = Order("request:m", "m", skill.id, skill.name, "1.0.0", "a1")
    mutation = mutation_from(order, Rewrite("def total(values): ...\n", Purpose.FASTER, Provenance()))
    await mutations.add(mutation, None, "")
    results = (
        ExampleResult("total([5])", "5", "5", "", passed=True, held_out=False),
        ExampleResult("total(globals().clear() or [5])", "5", "5", "", passed=True, held_out=False),
        ExampleResult("total([6])", "", "", "gives something else every time", passed=True, held_out=False),
    )
    check = GeneratedCheck(3, 3, 2, 0, "version 1.0.0", "s", (Difference("total([])", Kind.EDGE, "0", "1"),))
    await mutations.record_run(mutation, "", results, None, "", check, Overfit.SUSPECTED)
    for _ in range(2):
        await mutations.put_on_trial(mutation.id, 0.3, "it wins")
    assert (await stores.events()).count("skill_trial_started") == 1
    return mutations, mutation.id, skill.id


async def test_a_trial_that_ends_badly_is_announced_and_recorded_once(stores: Stores) -> None:
    mutations, mutation_id, _ = await mutation_on_trial(stores)
    on_trial = await stores.skills.get("total")
    assert (on_trial.canary is not None, on_trial.canary_share) == (True, 0.3)
    end = TrialEnd("worse", "it fails more often")
    ended = await asyncio.gather(*(mutations.end_trial(mutation_id, end) for _ in range(3)))
    assert {(each.outcome, each.outcome_reason) for each in ended} == {
        (MutationOutcome.DISCARDED, "it fails more often")
    }
    skill = await stores.skills.get("total")
    assert (skill.active.version, skill.canary, skill.canary_share) == ("1.0.0", None, None)
    assert [described(each) for each in await stores.rollbacks()] == [
        ("1.1.0", "1.0.0", "canary", "it fails more often", True)
    ]
    # Who decides late changes nothing.
    assert (await mutations.promote(mutation_id, "", "good")).outcome is MutationOutcome.DISCARDED


async def rewrite_that_wins(stores: Stores, mutations: MutationStore, name: str, parent: str) -> str:
    skill = await stores.skills.get("total")
    order = Order(f"request:{name}", name, skill.id, skill.name, parent, "a1")
    mutation = mutation_from(order, Rewrite(f"def total(values): ...  # {name}\n", Purpose.FASTER, Provenance()))
    await mutations.add(mutation, None, "")
    await mutations.record_run(mutation, "", (), None, "")
    return mutation.id


async def approved_rewrite(stores: Stores, mutations: MutationStore, name: str) -> str:
    """One that waits for a person."""
    rewrite = await rewrite_that_wins(stores, mutations, name, "1.0.0")
    review = review_of(SubjectKind.MUTATION, rewrite, "a1", title="t", code="c", replaces="", evidence=())
    await mutations.ask_for_review(rewrite, review, "it wins", "")
    return rewrite


async def test_a_trial_that_another_one_replaces_is_announced_recorded_and_counted_once(stores: Stores) -> None:
    mutations, first, _ = await mutation_on_trial(stores)
    second = await rewrite_that_wins(stores, mutations, "second", "1.0.0")
    third = await approved_rewrite(stores, mutations, "third")
    before = trials_that_ended("replaced")
    for _ in range(2):
        await mutations.put_on_trial(second, 0.3, "it wins as well")
        await mutations.put_on_trial(third, 0.3, "approved by ada", "ada")
    assert [described(each) for each in await stores.rollbacks()] == [
        ("1.1.0", "1.0.0", "canary", "another version went on trial in its place", True),
        ("1.2.0", "1.0.0", "ada", "another version went on trial in its place", False),
    ]
    assert trials_that_ended("replaced") == before + 2
    assert [(await mutations.get(each)).outcome for each in (first, second, third)] == [
        MutationOutcome.DISCARDED,
        MutationOutcome.DISCARDED,
        MutationOutcome.CANARY,
    ]


async def test_a_trial_beside_which_a_person_has_another_rewrite_used_is_announced_as_the_persons(
    stores: Stores,
) -> None:
    mutations, _, _ = await mutation_on_trial(stores)
    better = await approved_rewrite(stores, mutations, "better")
    for _ in range(2):
        await mutations.promote(better, "ada")
    assert [described(each) for each in await stores.rollbacks()] == [
        ("1.1.0", "1.0.0", "ada", "another version took its place", False)
    ]
    assert (await stores.events())[-2:] == ["skill_rolled_back", "skill_promoted"]
    skill = await stores.skills.get("total")
    assert (skill.active.version, skill.canary, skill.canary_share) == ("1.2.0", None, None)


def trials_that_ended(result: str) -> float:
    return REGISTRY.get_sample_value("autodev_learning_trials_total", {"result": result}) or 0.0


async def test_what_was_made_from_a_version_that_is_active_no_more_goes_on_no_trial(stores: Stores) -> None:
    mutations, first, _ = await mutation_on_trial(stores)
    late = await rewrite_that_wins(stores, mutations, "late", "1.0.0")
    await mutations.promote(first, "", "20 good runs on trial")
    refused = await mutations.put_on_trial(late, 0.3, "it wins")
    assert refused.outcome is MutationOutcome.DISCARDED
    assert refused.outcome_reason == "it was made from 1.0.0, and 1.1.0 is in use by now"
    skill = await stores.skills.get("total")
    assert (skill.active.version, skill.canary) == ("1.1.0", None)
    assert (await stores.events()).count("skill_trial_started") == 1


async def waiting_for_a_person(stores: Stores, mutations: MutationStore, name: str) -> tuple[str, str]:
    """A rewrite of 1.0.0 that waits, and its review."""
    mutation_id = await rewrite_that_wins(stores, mutations, name, "1.0.0")
    review = review_of(
        SubjectKind.MUTATION, mutation_id, "a1", title=name, code="c", replaces="", evidence=("it wins",)
    )
    await mutations.ask_for_review(mutation_id, review, "it wins", "")
    return mutation_id, review.id


async def test_a_rewrite_of_a_version_that_another_replaced_says_so_and_is_refused_when_approved(
    stores: Stores,
) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    mutations = MutationStore(stores.database, stores.outbox)
    first, _ = await waiting_for_a_person(stores, mutations, "first")
    late, review_id = await waiting_for_a_person(stores, mutations, "late")
    assert (await stores.reviews.get(review_id)).evidence == ("it wins",)
    assert (await mutations.promote(first, "ada")).outcome is MutationOutcome.PROMOTED
    overtaken = ("made from 1.0.0; 1.1.0 is in use: not to be used unless 1.0.0 is again", "it wins")
    assert (await stores.reviews.get(review_id)).evidence == overtaken
    assert overtaken in [each.evidence for each in await stores.reviews.page(ReviewState.WAITING, 10, None)]
    for _ in range(2):
        refused = await mutations.promote(late, "ada")
        assert refused.outcome is MutationOutcome.DISCARDED
        assert refused.outcome_reason == "approved, and refused: it was made from 1.0.0, and 1.1.0 is in use by now"
    assert (await stores.skills.get("total")).active.version == "1.1.0"


async def test_what_was_made_from_the_version_that_is_in_use_again_may_be_approved(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    mutations = MutationStore(stores.database, stores.outbox)
    late, review_id = await waiting_for_a_person(stores, mutations, "late")
    skill_id = (await stores.skills.get("total")).id
    await next_version(stores, skill_id, "1.0.0", "another")
    await stores.skills.roll_back(Rollback("r", skill_id, "", "ada", "wrong"))
    assert (await stores.reviews.get(review_id)).evidence == ("it wins",)
    assert (await mutations.promote(late, "ada")).outcome is MutationOutcome.PROMOTED


NO_LONGER = "version 1.0.0 is no longer in use: 1.1.0 is"


async def test_an_opportunity_whose_version_is_replaced_before_its_turn_gets_no_rewrite(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution = EvolutionStore(stores.database, stores.outbox, 24)
    await evolution.keep_run(run_of(skill.id, "slow", "1.0.0"), skill, {Trigger.LATENCY: Start.BY_ITSELF}, "", "")
    (found,) = await evolution.page(10, None)
    assert found.under_way
    await next_version(stores, skill.id, "1.0.0", "another")
    mutations = MutationStore(stores.database, stores.outbox)
    nobody_asked = cast(Capabilities, None), cast(Rewriter, None)
    await Generation(mutations, evolution, stores.skills, *nobody_asked).on_opportunity(found.id, "")
    (skipped,) = await evolution.page(10, None)
    assert (skipped.skipped_reason, skipped.mutation_id) == (NO_LONGER, "")


async def test_an_opportunity_of_a_version_that_is_not_in_use_is_not_started(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    evolution = EvolutionStore(stores.database, stores.outbox, 24)
    await evolution.keep_run(run_of(skill.id, "slow", "1.0.0"), skill, {Trigger.LATENCY: Start.WAITS}, "", "")
    (found,) = await evolution.page(10, None)
    await next_version(stores, skill.id, "1.0.0", "another")
    with pytest.raises(FailedPrecondition, match=re.escape(NO_LONGER)) as error:
        await evolution.start(found.id, "ada")
    assert error.value.reason == "VERSION_NOT_ACTIVE"
    assert "optimization_triggered" not in await stores.events()
    await stores.skills.roll_back(Rollback("r", skill.id, "", "ada", "wrong"))
    assert (await evolution.start(found.id, "ada")).under_way


async def test_a_version_on_trial_replaces_none_but_the_one_that_it_was_compared_with(stores: Stores) -> None:
    mutations, on_trial, skill_id = await mutation_on_trial(stores)
    await next_version(stores, skill_id, "1.0.0", "another")
    for _ in range(2):
        ended = await mutations.promote(on_trial, "", "20 good runs on trial")
        assert ended.outcome is MutationOutcome.DISCARDED
        assert ended.outcome_reason == "it was made from 1.0.0, and 1.2.0 is in use by now"
    skill = await stores.skills.get("total")
    assert (skill.active.version, skill.canary, skill.canary_share) == ("1.2.0", None, None)
    assert (await stores.events()).count("skill_rolled_back") == 1


async def test_of_rewrites_that_win_at_once_none_is_on_trial_beside_what_it_was_not_made_from(stores: Stores) -> None:
    mutations, first, _ = await mutation_on_trial(stores)
    late = [await rewrite_that_wins(stores, mutations, f"late-{number}", "1.0.0") for number in range(3)]
    await asyncio.gather(
        mutations.promote(first, "", "good"), *(mutations.put_on_trial(each, 0.3, "") for each in late)
    )
    skill = await stores.skills.get("total")
    assert skill.canary is None or skill.canary.parent_version == skill.active.version


async def test_a_promoted_rewrites_calls_join_the_suite_and_its_marks_are_kept(stores: Stores) -> None:
    mutations, mutation_id, skill_id = await mutation_on_trial(stores)
    kept = await mutations.promote(mutation_id, "", "20 good runs on trial")
    assert kept.overfit is Overfit.SUSPECTED
    assert kept.generated is not None
    assert kept.generated.differing[0].call == "total([])"
    members = await SuiteStore(stores.database).members(skill_id)
    assert [(each.call, each.source) for each in members] == [
        ("total([1])", Source.TASK),
        ("total([5])", Source.SUCCESSION),
    ]
    assert (await stores.skills.get("total")).active.version == "1.1.0"


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_what_a_rewrite_is_for_is_kept_whoever_wrote_it(stores: Stores, purpose: Purpose) -> None:
    mutations = MutationStore(stores.database, stores.outbox)
    order = Order("request:m", "m", "s1", "total", "1.0.0", "a1")
    for proposer in ("llm", "performance", "search"):
        rewrite = Rewrite("def total(values): ...\n", purpose, Provenance(proposer=proposer))
        mutation = mutation_from(replace(order, key=f"request:{proposer}"), rewrite)
        await mutations.add(mutation, None, "")
        assert (await mutations.get(mutation.id)).purpose is purpose


async def test_rewrites_of_before_are_held_to_their_parents_unless_their_proposers_only_mend(
    storage: Storage, stores: Stores
) -> None:
    mutations = MutationStore(stores.database, stores.outbox)
    wrote = {"llm": Purpose.FASTER, "llm-small": Purpose.FASTER, "performance": Purpose.FASTER, "search": Purpose.MEND}
    made = {}
    for proposer in wrote:
        order = Order(f"request:{proposer}", "m", "s1", "total", "1.0.0", "a1")
        rewrite = Rewrite("def total(values): ...\n", Purpose.MEND, Provenance(proposer=proposer))
        made[proposer] = (await mutations.add(mutation_from(order, rewrite), None, "")).id
    for step in (PURPOSES.downgrade, PURPOSES.upgrade):
        await storage.as_owner("learning", by_revision(step))
    assert {proposer: (await mutations.get(id_)).purpose for proposer, id_ in made.items()} == wrote


async def test_an_approved_rewrite_that_fails_the_suite_by_now_is_refused_once(stores: Stores) -> None:
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    mutations = MutationStore(stores.database, stores.outbox)
    order = Order("request:m", "m", skill.id, skill.name, "1.0.0", "a1")
    mutation = mutation_from(order, Rewrite("def total(values): ...\n", Purpose.FASTER, Provenance()))
    await mutations.add(mutation, None, "")
    await mutations.record_run(mutation, "", (), None, "")
    review = review_of(SubjectKind.MUTATION, mutation.id, "a1", title="t", code="c", replaces="", evidence=())
    await mutations.ask_for_review(mutation.id, review, "it wins", "")
    for _ in range(2):
        refused = await mutations.refuse(mutation, "regression on 1 of 2 examples of the skill: total([1]) ...", "")
        assert refused.outcome is MutationOutcome.DISCARDED
        assert "regression on 1 of 2" in refused.outcome_reason
    assert (await stores.events()).count("mutation_executed") == 2
    assert (await mutations.promote(mutation.id, "ada")).outcome is MutationOutcome.DISCARDED
    assert (await stores.skills.get("total")).active.version == "1.0.0"

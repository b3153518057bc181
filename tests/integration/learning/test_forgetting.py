"""What is past its days is forgotten, and what comes later is placed as if it had not been."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autodev_learning.forgetting import forget_old
from autodev_learning.memento.reflection import Episode, Outcome, PatternRule, Peers
from autodev_learning.rows import SkillCandidateRow, SkillExecutionRow, SkillRow
from autodev_learning.settings import LearningSettings
from autodev_learning.store.episodes import EpisodeStore
from autodev_learning.store.past import Past
from autodev_runtime.database import Database
from autodev_runtime.identity import acting_as, service_identity
from autodev_sdk.events import first_uuid7, uuid7
from tests.integration.learning.test_failures import ALL, FAILED, TENANTS, PlainRule, failed
from tests.storage import Storage

RULE = PatternRule()
KEPT = "SELECT tenant_id, episode_id FROM episodes ORDER BY id"
INDEX = "SELECT task FROM failure_words UNION SELECT id FROM failure_tasks"
USED = "SELECT failure_task FROM episodes WHERE failure_task IS NOT NULL"


async def forget_all(database: Database) -> None:
    """Forget whatever can go: everything is more than a day old two days from now."""
    await forget_old(Past(database), 1, datetime.now(UTC) + timedelta(days=2))


async def kept(storage: Storage, tenant: str = "acme") -> list[str]:
    return [name for owner, name in await storage.rows("learning", KEPT) if owner == tenant]


def worked(name: str, task: str, code: str) -> Episode:
    return replace(failed(name, task), outcome=Outcome.SUCCESS, code=code)


async def test_failures_in_no_pattern_go_and_of_a_pattern_the_first_and_the_latest_of_each_kind_stay(
    storage: Storage, database: Database, store: EpisodeStore
) -> None:
    with acting_as(service_identity("learning", "acme")):
        for number in range(4):
            await store.add_failure(failed(f"same-{number}", days=number / 10), RULE, None)
        await store.add_failure(failed("longer", "sum the long values", days=1), RULE, None)
        await store.add_failure(failed("alone", "draw a house"), RULE, None)
        (before,) = await store.list_patterns("", 10, None)
        assert before.failures == 5
        await forget_all(database)
        assert await kept(storage) == ["same-0", "same-3", "longer"]
        (after,) = await store.list_patterns("", 10, None)
        assert (after.id, after.episode_ids) == (before.id, ("same-0", "same-3", "longer"))
        assert await store.add_failure(failed("again", days=30), RULE, None) is None
        (joined,) = await store.list_patterns("", 10, None)
        assert "again" in joined.episode_ids
        assert await store.add_failure(failed("alone", "draw a house"), RULE, None) is None


async def test_what_came_within_the_days_stays(storage: Storage, database: Database, store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        await store.add_failure(failed("alone"), RULE, None)
        await store.add_success(worked("nothing-to-use", "sort the values", ""))
    await forget_old(Past(database), 1, datetime.now(UTC) + timedelta(hours=23))
    assert await kept(storage) == ["alone", "nothing-to-use"]


async def test_the_index_holds_no_task_that_no_failure_has(
    storage: Storage, database: Database, store: EpisodeStore
) -> None:
    many = " ".join(f"word{number}" for number in range(30))
    with acting_as(service_identity("learning", "acme")):
        for number, task in enumerate(["draw a red house", "!", "house", many, "sum values", "sum values"]):
            await store.add_failure(failed(f"e{number}", task), RULE, None)
        await forget_all(database)
    assert await kept(storage) == ["e4", "e5"]
    used = set(await storage.rows("learning", USED))
    assert len(used) == 1
    assert set(await storage.rows("learning", INDEX)) == used


async def test_what_a_candidate_is_made_of_stays(storage: Storage, database: Database, store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        await store.add_failure(failed("asked-about"), RULE, None)
    async with database.session("acme") as session:
        session.add(
            SkillCandidateRow(
                request_id="r",
                agent_id="ada",
                source_episode_id="asked-about",
                skill_name="s",
                skill_description="d",
                failure_pattern={},
            )
        )
    await forget_all(database)
    assert await kept(storage) == ["asked-about"]


async def test_of_the_programs_that_worked_at_a_task_the_latest_stays(
    storage: Storage, database: Database, store: EpisodeStore
) -> None:
    with acting_as(service_identity("learning", "acme")):
        for name, task, code in [
            ("older", "sum", "def f(): ..."),
            ("latest", "sum", "def f(): ..."),
            ("no-program", "sum", ""),
            ("other-task", "sort", "def f(): ..."),
        ]:
            await store.add_success(worked(name, task, code))
    with acting_as(service_identity("learning", "globex")):
        await store.add_success(worked("theirs", "sum", "def f(): ..."))
    await forget_all(database)
    assert await kept(storage) == ["latest", "other-task"]
    assert await kept(storage, "globex") == ["theirs"]


async def test_runs_go_but_those_of_a_skill_with_a_version_on_trial(
    storage: Storage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_learning.store.past.AT_ONCE", 2)
    async with database.session("acme") as session:
        for name, canary in [("settled", None), ("tried", "1.0.1")]:
            skill = SkillRow(
                id=uuid7(), name=name, description="", agent_id="ada", active_version="1.0.0", canary_version=canary
            )
            session.add(skill)
            for number in range(5):
                session.add(
                    SkillExecutionRow(
                        execution_id=f"{name}-{number}",
                        skill_id=skill.id,
                        agent_id="ada",
                        success=True,
                        execution_seconds=0.1,
                    )
                )
    await forget_all(database)
    left = await storage.rows("learning", "SELECT execution_id FROM skill_executions")
    assert sorted(left) == [(f"tried-{number}",) for number in range(5)]


@pytest.mark.parametrize("peers", [None, ALL, Peers(frozenset(["ada", "bob"]), frozenset(["eve"]))])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(FAILED, min_size=2, max_size=8),
    after=st.lists(FAILED, min_size=1, max_size=6),
    threshold=st.integers(2, 3),
)
async def test_what_comes_later_joins_the_patterns_that_it_would_have_joined(
    storage: Storage,
    database: Database,
    store: EpisodeStore,
    peers: Peers | None,
    before: list[Episode],
    after: list[Episode],
    threshold: int,
) -> None:
    rule = PatternRule(threshold)
    plain = PlainRule(rule, peers, [])
    tenant = next(TENANTS)

    async def add(episodes: list[Episode], prefix: str) -> None:
        for number, each in enumerate(episodes):
            episode = replace(each, episode_id=f"{prefix}{number}")
            plain.add(episode)
            await store.add_failure(episode, rule, peers)

    with acting_as(service_identity("learning", tenant)):
        await add(before, "before")
        await forget_all(database)
        # What is astray in a pattern waits for others at its task, as what is in none does.
        plain.kept = [each for each in plain.kept if each.pattern_id and not each.astray]
        await add(after, "after")
        found = {frozenset(each.episode_ids) for each in await store.list_patterns("", 100, None)}
    left = frozenset(await kept(storage, tenant))
    assert found == {cluster & left for cluster in plain.clusters()}
    assert all(found)


def test_ids_of_a_moment_are_told_from_those_before_it() -> None:
    moment = datetime.now(UTC)
    assert first_uuid7(moment - timedelta(milliseconds=1)) < uuid7() < first_uuid7(moment + timedelta(minutes=1))


def test_days_shorter_than_the_window_of_a_pattern_are_refused() -> None:
    assert LearningSettings(keep_days=7).keep_days == 7
    with pytest.raises(ValidationError, match="keep_days must be no shorter than pattern_window"):
        LearningSettings(keep_days=6)

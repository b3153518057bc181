"""Patterns among stored failures: what the indexes find is what comparing each with all others would."""

import asyncio
import importlib
import re
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev.gateway.v1.event_pb2 import Event
from autodev_learning.examples import Example
from autodev_learning.memento.memento import Memento
from autodev_learning.memento.reflection import (
    NO_EXAMPLES,
    Episode,
    Failure,
    FailurePattern,
    Outcome,
    PatternRule,
    Peers,
    PeersUnknown,
    Placement,
    alike,
    failure_of,
    place,
)
from autodev_learning.rows import OutboxRow
from autodev_learning.similarity import COMPARED_CHARACTERS, similar_tasks
from autodev_learning.store import failures
from autodev_learning.store.episodes import EpisodeStore
from autodev_learning.store.reindexing import Reindexing
from autodev_runtime.database import Database, done_within
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.scripts import SQLITE, Script
from tests.storage import Storage

START = datetime(2026, 3, 1, tzinfo=UTC)
AGENTS = ("ada", "bob", "eve")
ALL = Peers(allowed=frozenset(AGENTS))
PAIRED = importlib.import_module("autodev_learning.migrations.versions.0008_word_pairs")
BY_WORDS = importlib.import_module("autodev_learning.migrations.versions.0009_tasks_by_words")
TENANTS = (f"tenant-{number}" for number in count())


def failed(
    name: str, task: str = "sum the values", agent: str = "ada", signature: str = "", days: float = 0
) -> Episode:
    return Episode(
        episode_id=name,
        event_id=f"event-{name}",
        agent_id=agent,
        outcome=Outcome.FAILURE,
        task_description=task,
        error_trace=signature,
        error_signature=signature,
        code="",
        preamble="",
        examples=(),
        tool_calls=(),
        segments=(),
        occurred_at=START + timedelta(days=days),
    )


@dataclass
class PlainRule:
    """Every failure in memory, compared with every other."""

    rule: PatternRule
    peers: Peers | None
    kept: list[Failure]
    patterns: int = 0

    def add(self, episode: Episode) -> None:
        new = failure_of(episode)
        others = [each for each in reversed(self.kept) if self.counts(each, new) and alike(new, each)]
        placement = place(new, others, self.rule)
        if placement.pattern_id:
            new = replace(new, pattern_id=placement.pattern_id, astray=placement.astray)
        self.kept.append(new)
        if placement.members:
            self.patterns += 1
            self.put({each.episode_id: replace(each, pattern_id=f"{self.patterns}") for each in placement.members})

    def counts(self, other: Failure, new: Failure) -> bool:
        if self.peers is None:
            return other.agent_id == new.agent_id
        return other.agent_id not in self.peers.denied

    def put(self, members: dict[str, Failure]) -> None:
        self.kept = [members.get(each.episode_id, each) for each in self.kept]

    def clusters(self) -> set[frozenset[str]]:
        found: dict[str, set[str]] = {}
        for each in self.kept:
            if each.pattern_id:
                found.setdefault(each.pattern_id, set()).add(each.episode_id)
        return {frozenset(each) for each in found.values()}


# Few words, so that many tasks are similar, many nearly so, and some have one word or none.
TASKS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "eta", "iota", "kappa"]), max_size=6).map(" ".join)
FAILED = st.builds(
    failed,
    name=st.just(""),
    task=TASKS,
    agent=st.sampled_from(AGENTS),
    signature=st.sampled_from(["", "", "", "KeyError|x|f", "ValueError|y|g"]),
    days=st.sampled_from([0, 1, 3, 6, 12]),
)


@pytest.mark.parametrize("peers", [None, ALL, Peers(frozenset(["ada", "bob"]), frozenset(["eve"]))])
@pytest.mark.parametrize(("latest", "told"), [(0, 0), (500, 1), (failures.LATEST_PLACED, failures.LATEST_TOLD)])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(episodes=st.lists(FAILED, min_size=2, max_size=10), threshold=st.integers(2, 3))
async def test_the_indexes_find_what_the_plain_rule_over_all_pairs_finds(
    store: EpisodeStore,
    monkeypatch: pytest.MonkeyPatch,
    peers: Peers | None,
    latest: int,
    told: int,
    episodes: list[Episode],
    threshold: int,
) -> None:
    # How many are compared before the index is asked is no difference either.
    monkeypatch.setattr(failures, "LATEST_PLACED", latest)
    monkeypatch.setattr(failures, "LATEST_TOLD", told)
    rule = PatternRule(threshold, timedelta(days=5))
    plain = PlainRule(rule, peers, [])
    with acting_as(service_identity("learning", next(TENANTS))):
        for number, each in enumerate(episodes):
            if peers is not None and each.agent_id in peers.denied:
                continue
            named = replace(each, episode_id=f"e{number}")
            await store.add_failure(named, rule, peers)
            plain.add(named)
            found = await store.list_patterns("", 100, None)
            assert {frozenset(pattern.episode_ids) for pattern in found} == plain.clusters()


def noting(script: Script[failures.Found], asked: list[tuple[str, tuple[object, ...]]]) -> Script[failures.Found]:
    """The same script; each of its statements is noted."""
    statement = next(script)
    while True:
        asked.append((SQLITE.spelled(statement.sql), tuple(statement.parameters)))
        try:
            statement = script.send((yield statement))
        except StopIteration as ended:
            found: failures.Found = ended.value
            return found


@pytest.mark.parametrize("peers", [None, ALL])
async def test_on_sqlite_no_statement_reads_all_of_a_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peers: Peers | None
) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_: object, __: object, sql: str, parameters: tuple[object, ...], *___: object) -> None:
        asked.append((sql, parameters))

    async def noted(session: AsyncSession, script: Script[failures.Found]) -> failures.Found:
        return await done_within(session, noting(script, asked))

    monkeypatch.setattr(failures, "done_within", noted)
    async with Storage(tmp_path, None).open("learning") as database:
        await upgrade(database, "autodev_learning")
        store = EpisodeStore(database, Outbox(database, OutboxRow))
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        with acting_as(service_identity("learning", "acme")):
            for number, task in enumerate(["sum values", "sum values", "sort names", "sort names twice"]):
                episode = failed(f"e{number}", task, signature=f"KeyError|{task}|f")
                await store.add_failure(episode, PatternRule(), peers)
            for number, task in enumerate(["sum values", "draw houses", "draw houses", "count the vowels", "!"]):
                episode = failed(f"harness-{number}", task, signature="AssertionError||check")
                await store.add_failure(episode, PatternRule(), peers)
        async with database.engine.connect() as connection:
            plans = [
                (row.detail, sql)
                for sql, parameters in set(asked)
                if sql.lstrip().startswith("SELECT")
                for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            ]
    for index in ("home_task", "placed_task", "waiting_task", "signature"):
        assert any(f"ix_episodes_{index} " in plan for plan, _ in plans), index
    # Those at home at a task may be any number: neither the latest of them nor what waits is looked for among all.
    assert not any("ix_episodes_failure_task" in plan for plan, _ in plans)
    # Those that are in patterns are read from the latest on, up to a limit; one that is stored by words is enough.
    read = re.compile(
        r"SCAN (episodes|task_words|failure_\w+)|SEARCH (?!.*(ix_episodes_placed|by_words)).*\(tenant_id=\?\)"
    )
    assert [each for each in plans if read.match(each[0])] == []


HARNESS = "AssertionError||check"
SUM, REVERSE, VOWELS = "sum even numbers", "reverse word order", "count all vowels"


async def kept_of(store: EpisodeStore, tasks: Sequence[str], peers: Peers | None = None, agent: str = "") -> list[str]:
    """Keep failures at tasks, all with one error, of one agent or of all in turn; which of them made a pattern."""
    made = []
    for number, task in enumerate(tasks):
        episode = failed(f"e{number}", task, agent or AGENTS[number % 3], HARNESS, number / 24)
        if await store.add_failure(episode, PatternRule(), peers) is not None:
            made.append(episode.episode_id)
    return made


def told(patterns: Sequence[FailurePattern]) -> list[tuple[str, tuple[str, ...], int]]:
    return [(each.task_description, each.episode_ids, each.failures) for each in patterns]


@pytest.mark.parametrize(("agent", "peers"), [("ada", None), ("", ALL)])
async def test_one_harness_for_everything_leaves_each_task_a_pattern_of_its_own(
    database: Database, store: EpisodeStore, agent: str, peers: Peers | None
) -> None:
    tasks = [SUM, REVERSE, VOWELS, REVERSE, SUM, VOWELS, REVERSE]
    with acting_as(service_identity("learning", "acme")):
        assert await kept_of(store, tasks, peers, agent) == ["e1", "e3", "e5"]
        # Delivered again, to whomever: what is kept already moves nothing.
        assert await kept_of(EpisodeStore(database, Outbox(database, OutboxRow)), tasks, peers, agent) == []
        assert told(await store.list_patterns("", 10, None)) == [
            (VOWELS, ("e2", "e5"), 2),
            (REVERSE, ("e1", "e3", "e6"), 3),
            (SUM, ("e0", "e4"), 2),
        ]
    assert await announced(database) == [("e0", "e1"), ("e1", "e3"), ("e2", "e5")]


async def announced(database: Database) -> list[tuple[str, ...]]:
    """The failures of the patterns that were announced, in order."""
    async with database.across_tenants() as session:
        rows = await session.scalars(select(OutboxRow.event).order_by(OutboxRow.position))
        events = [Event.FromString(each) for each in rows]
    return [tuple(each.failure_pattern_detected.episode_ids) for each in events]


async def test_failures_at_once_at_many_tasks_leave_each_a_pattern_of_its_own(
    database: Database, store: EpisodeStore
) -> None:
    tasks = [SUM, REVERSE, VOWELS] * 4
    others = EpisodeStore(database, Outbox(database, OutboxRow))
    with acting_as(service_identity("learning", "acme")):
        await asyncio.gather(
            *(
                (store, others)[number % 2].add_failure(
                    failed(f"e{number // 2}", tasks[number // 2], signature=HARNESS), PatternRule(), None
                )
                for number in range(2 * len(tasks))
            )
        )
        found = await store.list_patterns("", 10, None)
        assert sorted((each.task_description, each.failures) for each in found) == [(VOWELS, 4), (REVERSE, 4), (SUM, 4)]
    assert len(await announced(database)) == 3


async def test_failures_of_one_error_at_tasks_that_are_all_different_are_one_pattern(store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        await kept_of(store, [SUM, REVERSE, VOWELS, "draw a house", "..."], agent="ada")
        (pattern,) = await store.list_patterns("", 10, None)
        assert (pattern.task_description, pattern.failures) == (SUM, 5)
        source = await store.find_failure("e2")
        assert source is not None
        assert [each.episode_id for each in await store.failures_of(pattern.id)] == ["e0", "e4"]
        assert [each.episode_id for each in await store.failures_beside(source)] == ["e1", "e2", "e3"]


async def test_failures_at_a_task_are_those_that_are_told_apart_by_all_of_them(store: EpisodeStore) -> None:
    long = SUM.ljust(COMPARED_CHARACTERS) + " ".join(f"word{number}" for number in range(100))
    with acting_as(service_identity("learning", "acme")):
        await kept_of(
            store, [SUM, REVERSE, VOWELS, REVERSE, SUM, "draw a house", long, VOWELS, "...", long], agent="ada"
        )
        await store.add_failure(failed("alone", "paint it"), PatternRule(), None)
        await store.add_failure(failed("no-words", ""), PatternRule(), None)
        for name in [*(f"e{number}" for number in range(10)), "alone", "no-words"]:
            source = await store.find_failure(name)
            assert source is not None
            beside = await store.failures_beside(source) if source.pattern_id else [source]
            like = [each.episode_id for each in beside if similar_tasks(each.task_description, source.task_description)]
            assert await store.failures_at_task(source) == like
        source = await store.find_failure("e6")
        assert source is not None
        assert await store.failures_at_task(source) == ["e0", "e4", "e6", "e9"]


async def test_an_analysis_holds_no_programs_of_other_failures(store: EpisodeStore) -> None:
    programs = [replace(failed(f"e{number}"), code=f"x = {number}\n" * 15_000) for number in range(40)]
    memento = Memento(store, *cast(Any, [None] * 5))
    with acting_as(service_identity("learning", "acme")):
        for each in programs:
            await store.add_failure(each, PatternRule(), None)
        tracemalloc.start()
        try:
            failure = await memento.analyze("e39")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert failure.episode_ids == tuple(each.episode_id for each in programs)
    assert peak < 10 * len(programs[0].code) < len(programs) * len(programs[0].code)


async def test_what_an_earlier_release_placed_stays_and_what_fails_from_then_on_is_learnt(
    storage: Storage, store: EpisodeStore
) -> None:
    with acting_as(service_identity("learning", "acme")):
        await kept_of(store, [SUM, REVERSE], agent="ada")
        (known,) = await store.list_patterns("", 10, None)
        await storage.alter("learning", "UPDATE episodes SET astray = NULL")
        for number, task in enumerate([REVERSE, SUM, REVERSE, SUM], start=2):
            await store.add_failure(failed(f"e{number}", task, signature=HARNESS, days=number), PatternRule(), None)
        assert told(await store.list_patterns("", 10, None)) == [
            (REVERSE, ("e2", "e4"), 2),
            (SUM, ("e0", "e1", "e3", "e5"), 4),
        ]
        assert (await store.get_pattern(known.id)).episode_ids == ("e0", "e1", "e3", "e5")


async def test_a_pattern_is_answered_for_the_first_failure_that_has_examples(store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        await store.add_failure(failed("poor", SUM, signature=HARNESS), PatternRule(), None)
        rich = replace(failed("rich", REVERSE, signature=HARNESS, days=1), examples=(Example("f(1)", "1"),))
        pattern = await store.add_failure(rich, PatternRule(), None)
        assert pattern is not None
        assert (pattern.task_description, pattern.episode_ids) == (REVERSE, ("poor", "rich"))
        (source,) = await store.failures_of(pattern.id)
        assert source.episode_id == "rich"


async def test_examples_of_another_task_do_not_have_a_skipped_pattern_answered(store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        await kept_of(store, [SUM, SUM], agent="ada")
        (pattern,) = await store.list_patterns("", 10, None)
        for name, task, reason in [("other", REVERSE, NO_EXAMPLES), ("own", SUM, "")]:
            await store.skip_pattern(pattern.id, NO_EXAMPLES)
            rich = replace(failed(name, task, signature=HARNESS), examples=(Example("f(1)", "1"),))
            await store.add_failure(rich, PatternRule(), None)
            assert (await store.get_pattern(pattern.id)).skipped_reason == reason


async def test_a_pattern_across_agents_is_of_the_one_who_made_it_one(store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        assert await store.add_failure(failed("one", agent="ada"), PatternRule(), ALL) is None
        pattern = await store.add_failure(failed("two", agent="bob", days=1), PatternRule(), ALL)
        assert pattern is not None
        assert (pattern.agent_id, pattern.episode_ids, pattern.agent_ids) == ("bob", ("one", "two"), ("ada", "bob"))
        await store.add_failure(failed("three", agent="eve", days=2), PatternRule(), ALL)
        found = await store.get_pattern(pattern.id)
        assert (found.failures, found.agent_ids) == (3, AGENTS)


async def test_across_agents_it_is_asked_first_whether_the_others_may(store: EpisodeStore) -> None:
    with acting_as(service_identity("learning", "acme")):
        own = Peers(allowed=frozenset(["bob"]))
        await store.add_failure(failed("one", agent="ada"), PatternRule(), None)
        for _ in range(2):
            with pytest.raises(PeersUnknown) as unknown:
                await store.add_failure(failed("two", agent="bob"), PatternRule(), own)
            assert unknown.value.agent_ids == {"ada"}
        assert await store.find_failure("two") is None
        denied = own.with_answer("ada", allowed=False)
        assert await store.add_failure(failed("two", agent="bob"), PatternRule(), denied) is None
        made = await store.add_failure(failed("three", agent="bob"), PatternRule(), denied)
        assert made is not None
        assert made.episode_ids == ("three", "two")


@pytest.mark.parametrize("end", [datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)])
async def test_failures_at_the_end_of_all_time_are_kept(store: EpisodeStore, end: datetime) -> None:
    with acting_as(service_identity("learning", "acme")):
        for name in ("one", "two"):
            same = replace(failed(name, signature="KeyError|x|f"), occurred_at=end)
            await store.add_failure(same, PatternRule(), None)
        assert told(await store.list_patterns("", 10, None)) == [("sum the values", ("one", "two"), 2)]


async def test_no_pattern_is_across_tenants(store: EpisodeStore) -> None:
    for tenant in ("acme", "globex"):
        with acting_as(service_identity("learning", tenant)):
            same = failed("one", signature="KeyError|x|f")
            assert await store.add_failure(same, PatternRule(), ALL) is None
            assert await store.list_patterns("", 10, None) == []


async def test_a_long_pattern_names_its_first_failures_and_counts_all(
    store: EpisodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_learning.store.episodes.PATTERN_FAILURES", 3)
    with acting_as(service_identity("learning", "acme")):
        for number in range(5):
            await store.add_failure(failed(f"e{number}", days=number / 10), PatternRule(), None)
        (pattern,) = await store.list_patterns("", 10, None)
        assert (pattern.episode_ids, pattern.failures) == (("e0", "e1", "e2"), 5)


async def test_a_page_of_patterns_is_asked_for_at_once(database: Database, store: EpisodeStore) -> None:
    asked: list[str] = []

    def note(_: object, __: object, sql: str, *___: object) -> None:
        asked.append(sql)

    async def statements_of_a_page(limit: int) -> int:
        asked.clear()
        found = await store.list_patterns("", limit, None)
        assert [each.episode_ids for each in found] == [
            (f"e{number}-0", f"e{number}-1") for number in range(12, 12 - limit, -1)
        ]
        return len(asked)

    with acting_as(service_identity("learning", "acme")):
        for number in range(13):
            for attempt in range(2):
                episode = failed(f"e{number}-{attempt}", "!", signature=f"KeyError|{number}|f", days=attempt / 10)
                await store.add_failure(episode, PatternRule(), None)
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        assert await statements_of_a_page(12) == await statements_of_a_page(1) > 0


async def test_a_task_of_very_many_words_and_one_of_none_are_kept(store: EpisodeStore) -> None:
    long = " ".join(f"word{number}" for number in range(600)) + " " + "x" * 200
    with acting_as(service_identity("learning", "acme")):
        for number, task in enumerate([long, "...", long + " more", "!"]):
            await store.add_failure(failed(f"e{number}", task), PatternRule(), None)
        (pattern,) = await store.list_patterns("", 10, None)
        assert pattern.episode_ids == ("e0", "e2")


def test_the_plain_rule_takes_the_latest_that_is_known() -> None:
    plain = PlainRule(PatternRule(), None, [])
    for number, task in enumerate(["a1 b1", "a1 b1", "c1 d1", "c1 d1"]):
        plain.add(failed(f"e{number}", task))
    plain.add(failed("e4", "a1 b1 c1 d1"))
    assert plain.clusters() == {frozenset(["e0", "e1"]), frozenset(["e2", "e3", "e4"])}
    assert place(plain.kept[0], [], PatternRule()) == Placement()


def by_revision(step: Callable[[], None]) -> Callable[[Connection], None]:
    """A revision's step, to be done on a connection."""

    def done(connection: Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            step()

    return done


async def stored_by_words(storage: Storage) -> None:
    """Have what is stored as the release before the pairs left it, and as it goes on storing beside this one."""
    for step in (BY_WORDS.downgrade, PAIRED.downgrade, PAIRED.upgrade, BY_WORDS.upgrade):
        await storage.as_owner("learning", by_revision(step))


async def index_of(storage: Storage) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    words = await storage.rows("learning", "SELECT * FROM failure_words")
    return sorted(words), sorted(await storage.rows("learning", "SELECT id, bits FROM failure_tasks"))


def sized(*counts: int) -> list[str]:
    """Tasks of so many words."""
    return [" ".join(f"word{number}" for number in range(count)) for count in counts]


@pytest.mark.parametrize("reindexed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 15, 20, 21, 60])
async def test_what_an_earlier_release_stored_is_found_at_once_and_when_it_is_stored_by_pairs(
    storage: Storage, database: Database, store: EpisodeStore, count: int, reindexed: bool
) -> None:
    half = -(-count // 2)
    similar, foreign = sized(count)[0], " ".join(f"other{number}" for number in range(count))
    latest = " ".join([*similar.split()[:half], *(f"late{number}" for number in range(count - half))])
    with acting_as(service_identity("learning", "acme")):
        for name, task in (("one", similar), ("other", foreign)):
            await store.add_failure(failed(name, task), PatternRule(), None)
    await stored_by_words(storage)
    if reindexed:
        await Reindexing(database).catch_up()
    with acting_as(service_identity("learning", "acme")):
        pattern = await store.add_failure(failed("two", latest), PatternRule(), None)
    assert pattern is not None
    assert set(pattern.episode_ids) == {"one", "two"}


async def test_what_an_earlier_release_stored_is_stored_as_this_one_does(
    storage: Storage, database: Database, store: EpisodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_learning.store.reindexing.BATCH", 4)
    tasks = ["...", *sized(1, 2, 3, 20, 21, 60), "x" * 200 + " y z"]
    for tenant in ("acme", "globex"):
        with acting_as(service_identity("learning", tenant)):
            for number, task in enumerate(tasks):
                await store.add_failure(failed(f"e{number}", task, agent=f"agent-{number}"), PatternRule(), None)
    as_this_one = await index_of(storage)
    await stored_by_words(storage)
    assert await index_of(storage) != as_this_one
    reindexing = Reindexing(database)
    assert await reindexing.catch_up() == 2 * len(tasks)
    assert await index_of(storage) == as_this_one
    assert await reindexing.catch_up() == 0

"""Reads everything back, from the log and from the database itself, and says what is not as it was promised."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_sdk import AutoDevClient
from tests.chaos.load import QUOTA, TASKS
from tests.mesh import eventually
from tests.storage import Storage

SETTLE_S = 120.0
"""How long the mesh may take to have nothing left to do, and a second more for each candidate."""
QUIET_LOOKS = 3
ONCE_EACH: Mapping[str, Callable[[event_pb2.Event], str]] = {
    # Again only by one more failure, where the limit that had stopped it is not met after all: a use was given back.
    "failure_pattern_detected": lambda event: (
        f"{event.failure_pattern_detected.pattern_id} by {event.failure_pattern_detected.failure_count}"
    ),
    "candidate_generated": lambda event: event.candidate_generated.candidate_id,
    "candidate_validated": lambda event: event.candidate_validated.candidate_id,
    "review_requested": lambda event: event.review_requested.subject_id,
    "review_decided": lambda event: event.review_decided.review_id,
    "skill_promoted": lambda event: event.skill_promoted.subject_id,
}
"""What each step is about: of one thing, a step is in the log exactly once."""


async def everything(client: AutoDevClient) -> list[event_pb2.Event]:
    """The tenant's events, from the log's start to its present end."""
    request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_EARLIEST)
    request.heartbeat_interval.FromMilliseconds(200)
    events: list[event_pb2.Event] = []
    # What was just killed is there again, which the connection may not have noticed.
    call = client.events.Subscribe(request, wait_for_ready=True)
    async for response in call:
        if not response.events:
            break
        events.extend(response.events)
    call.cancel()
    return events


async def settled(storage: Storage, skills: int) -> None:
    """Wait until the mesh has nothing left to do, and so many candidates are skills."""
    await _quiet(storage, skills, "skill_candidates WHERE validation_status = 'promoted'")


async def worked_through(storage: Storage, candidates: int) -> None:
    """Wait until the mesh has nothing left to do, and so many candidates wait for a person."""
    await _quiet(storage, candidates, "skill_candidates WHERE validation_status = 'validated'")


async def _quiet(storage: Storage, wanted: int, what: str) -> None:
    quiet = 0

    async def look() -> bool:
        nonlocal quiet
        left = await unsettled(storage)
        done = await _count(storage, "learning", what)
        quiet = quiet + 1 if not left and done >= wanted else 0
        await asyncio.sleep(0.3)
        return quiet >= QUIET_LOOKS

    try:
        await eventually(look, f"everything is done, with {wanted} {what}", SETTLE_S + wanted)
    except AssertionError as error:
        raise AssertionError(f"{error}; {await unsettled(storage)} left; {await unpromoted(storage)}") from None


async def unpromoted(storage: Storage) -> str:
    """The candidates that became no skill, and the agents that have not as many as their limit."""
    others = await storage.rows(
        "learning",
        "SELECT id, agent_id, validation_status, review_id, validation_result FROM skill_candidates"
        " WHERE validation_status <> 'promoted'",
    )
    short = await storage.rows(
        "learning",
        "SELECT p.agent_id, count(c.id), string_agg(p.skipped_reason, '; ') FROM failure_patterns p"
        f" LEFT JOIN skill_candidates c ON c.pattern_id = p.id GROUP BY 1 HAVING count(c.id) <> {QUOTA}",
    )
    dead = await storage.rows("gateway", "SELECT group_name, attempts, error FROM dead_letters")
    return f"no skills: {others[:5]}; agents off their limit: {short[:5]}; given up: {dead[:5]}"


async def unsettled(storage: Storage) -> dict[str, int]:
    """What still waits somewhere: in an outbox, for a group, for a worker."""
    waiting = {
        f"{service}.outbox": await _count(storage, service, "outbox")
        for service in ("learning", "capability", "fitness")
    }
    waiting["deliveries"] = await _count(storage, "gateway", "deliveries")
    waiting["behind"] = await _count(
        storage,
        "gateway",
        "consumer_groups g WHERE EXISTS (SELECT 1 FROM events e WHERE e.seq > g.position"
        " AND (g.filter::jsonb -> 'types') @> to_jsonb(e.type))",
    )
    return {name: count for name, count in waiting.items() if count}


async def check_log(client: AutoDevClient, acknowledged: Mapping[str, str]) -> list[event_pb2.Event]:
    """Every acknowledged event is in the log once, where its publisher was told, in the order of the cursors."""
    events = await everything(client)
    ids = Counter(event.id for event in events)
    assert not [each for each, count in ids.items() if count > 1], "an event is in the log twice"
    assert not acknowledged.keys() - ids.keys(), "an acknowledged event is not in the log"
    cursors = [event.cursor for event in events]
    assert cursors == sorted(cursors)
    assert len(set(cursors)) == len(cursors)
    placed = {event.id: event.cursor for event in events}
    assert {each: placed[each] for each in acknowledged} == dict(acknowledged), (
        "an event is not where it was said to be"
    )
    return events


def check_steps(events: Collection[event_pb2.Event]) -> Counter[str]:
    """No step was made twice. Returns how often each was made."""
    seen: Counter[tuple[str, str]] = Counter()
    for event in events:
        kind = event.WhichOneof("payload") or ""
        if kind in ONCE_EACH:
            seen[kind, ONCE_EACH[kind](event)] += 1
    twice = [each for each, count in seen.items() if count > 1]
    assert not twice, f"done twice: {twice}"
    return Counter(kind for kind, _ in seen)


async def check_learned(storage: Storage, agents: Collection[str], episodes: Collection[str]) -> None:
    """Each episode was taken; each agent has its patterns, and exactly its limit of candidates."""
    kept = {row[0] for row in await storage.rows("learning", "SELECT episode_id FROM episodes")}
    assert not set(episodes) - kept, "an episode never reached learning"
    patterns = await storage.rows("learning", "SELECT id, agent_id, candidate_id, skipped_reason FROM failure_patterns")
    per_agent = Counter(agent for _, agent, _, _ in patterns)
    assert per_agent == dict.fromkeys(agents, len(TASKS)), "an agent has not exactly its patterns"
    candidates = await storage.rows("learning", "SELECT id, agent_id, pattern_id FROM skill_candidates")
    per_pattern = Counter(pattern for _, _, pattern in candidates)
    assert set(per_pattern.values()) == {1}, "a pattern has two candidates"
    answered = {pattern for pattern, _, candidate, _ in patterns if candidate is not None}
    skipped = {pattern for pattern, _, candidate, reason in patterns if candidate is None and reason}
    assert answered == set(per_pattern)
    assert len(answered) + len(skipped) == len(patterns), "a pattern got neither a candidate nor a reason"
    assert Counter(agent for _, agent, _ in candidates) == dict.fromkeys(agents, QUOTA)


async def check_quotas(storage: Storage) -> None:
    """No day's counter passed its limit, each says what is committed, and no reservation is left open."""
    rows = await storage.rows(
        "capability",
        "SELECT holder, day, granted FROM quota_counters WHERE capability = 'auto_dev.memento_skills'",
    )
    granted = {(holder, day): count for holder, day, count in rows}
    assert max(granted.values()) <= QUOTA, f"over the limit: {granted}"
    states = Counter(
        {
            (holder, day, state): count
            for holder, day, state, count in await storage.rows(
                "capability",
                "SELECT holder, day, state, count(*) FROM reservations"
                " WHERE capability = 'auto_dev.memento_skills' GROUP BY 1, 2, 3",
            )
        }
    )
    committed = {(holder, day): count for (holder, day, state), count in states.items() if state == "committed"}
    # A use that was given back leaves its day's counter at zero.
    assert committed == {counter: count for counter, count in granted.items() if count}, f"{granted}: {states}"
    assert not [each for each in states if each[2] == "reserved"], f"left open: {states}"


async def check_reviews(storage: Storage) -> None:
    """One review a candidate, and none of a candidate that did not pass."""
    subjects = Counter(row[0] for row in await storage.rows("learning", "SELECT subject_id FROM reviews"))
    assert all(count == 1 for count in subjects.values()), "a review was made twice"
    statuses = dict(await storage.rows("learning", "SELECT id, validation_status FROM skill_candidates"))
    assert {
        each for each, status in statuses.items() if status in ("validated", "approved", "rejected", "promoted")
    } == (set(subjects))


async def check_no_dead_letters(storage: Storage) -> None:
    """No group has given anything up."""
    dead = await storage.rows("gateway", "SELECT group_name, seq, error FROM dead_letters")
    assert not dead, f"given up: {dead[:5]}"


async def _count(storage: Storage, service: str, table: str) -> int:
    rows: list[tuple[Any, ...]] = await storage.rows(service, f"SELECT count(*) FROM {table}")
    return int(rows[0][0])

"""Services killed while they are asked for decisions: each decision is there whole or not at all, and may be repeated.

Whole: what it changed, the event that tells of it, and its entry in the audit log. In every round all kinds of decision
are asked for at once, and two of the services that serve them are killed at seeded moments meanwhile
(AUTODEV_CHAOS_SEED repeats a run that failed).
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import audit_service_pb2, event_pb2, key_service_pb2
from autodev.learning.v1 import review_service_pb2, skill_service_pb2
from autodev_learning.memento.validation import review_of_candidate
from autodev_runtime.audit_chain import Verifier
from autodev_sdk import AutoDevClient
from tests.chaos.load import AWAY, called
from tests.fleet import Fleet
from tests.integration.learning.test_stores import PASSED, Stores, approved, candidate, next_version, stores
from tests.mesh import TENANT, eventually
from tests.postgresql import Server
from tests.storage import Storage, Storages

__all__ = ["stores"]

SEED = int(os.environ.get("AUTODEV_CHAOS_SEED", str(random.SystemRandom().randrange(1_000_000))))
ROUNDS = 4
VICTIMS = ("gateway-1", "learning-1", "capability-1")
KILLS_A_ROUND = 2
LATEST_KILL_S = 0.06
"""About as long as it takes to serve all of a round."""
CALL_S = 10.0
CODE = "def total_{0}(values):\n    return sum(values) + {0}\n"


@dataclass(frozen=True)
class Decision:
    """One decision, how it is asked for, and where it can be seen."""

    rpc: str
    about: dict[str, Any]
    """What its entry in the audit log has of it."""
    ask: Callable[[AutoDevClient], Awaitable[Any]]
    service: str
    seen: tuple[str, ...]
    """Queries that count to 1 once it is done and to 0 before, all of them."""
    event: tuple[str, str, str] | None = None
    """The event of it: its kind, and a field with its value."""

    def tells(self, event: event_pb2.Event) -> bool:
        """Whether an event is of it."""
        if self.event is None or event.WhichOneof("payload") != self.event[0]:
            return False
        return bool(getattr(getattr(event, self.event[0]), self.event[1]) == self.event[2])


@pytest.fixture
def storage(postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    """PostgreSQL for every service: what a killed process had asked it for, it may still do."""
    with Storages(postgresql).new(tmp_path) as opened:
        yield opened


async def waiting_review(stores: Stores, name: str) -> str:
    """A validated candidate's review."""
    made = await stores.candidates.add(candidate(f"request:{name}", CODE.format(name)), "")
    review = review_of_candidate(made, PASSED)
    await stores.candidates.record_validation(made, PASSED, review, "")
    return review.id


async def skill_with_two_versions(stores: Stores, name: str) -> str:
    """A skill that can be rolled back."""
    promoted = await stores.skills.promote((await approved(stores, f"request:{name}", CODE.format(name))).id, "")
    assert promoted.skill_id is not None
    assert await next_version(stores, promoted.skill_id, "1.0.0", f"mutation-{name}") == "1.1.0"
    return promoted.skill_id


def review_decision(rpc: str, review_id: str, decision: str, statuses: str) -> Decision:
    async def ask(client: AutoDevClient) -> Any:
        if decision == "approved":
            return await client.reviews.ApproveReview(
                review_service_pb2.ApproveReviewRequest(review_id=review_id), timeout=CALL_S
            )
        return await client.reviews.RejectReview(
            review_service_pb2.RejectReviewRequest(review_id=review_id, reason="wrong"), timeout=CALL_S
        )

    subject = f"SELECT subject_id FROM reviews WHERE id = '{review_id}'"
    return Decision(
        f"autodev.learning.v1.ReviewService.{rpc}",
        {"review_id": review_id},
        ask,
        "learning",
        (
            f"SELECT count(*) FROM reviews WHERE id = '{review_id}' AND decision = '{decision}'",
            f"SELECT count(*) FROM skill_candidates WHERE id = ({subject}) AND validation_status IN ({statuses})",
        ),
        ("review_decided", "review_id", review_id),
    )


def rollback(skill_id: str, name: str) -> Decision:
    request = skill_service_pb2.RollbackSkillRequest(request_id=f"back-{name}", skill_id=skill_id)
    return Decision(
        "autodev.learning.v1.SkillService.RollbackSkill",
        {"skill_id": skill_id},
        lambda client: client.skills.RollbackSkill(request, timeout=CALL_S),
        "learning",
        (
            f"SELECT count(*) FROM skills WHERE id = '{skill_id}' AND active_version = '1.0.0'",
            f"SELECT count(*) FROM skill_rollbacks WHERE request_id = 'back-{name}'",
        ),
        ("skill_rolled_back", "skill_id", skill_id),
    )


def settings(limit: int) -> Decision:
    stated = capability.WorkspaceSettings(enabled=True, memento_skills=True, max_mutations_per_day=limit)
    request = capability.UpdateWorkspaceSettingsRequest(settings=stated)
    return Decision(
        "autodev.capability.v1.CapabilityService.UpdateWorkspaceSettings",
        {"settings": {"enabled": True, "memento_skills": True, "max_mutations_per_day": limit}},
        lambda client: client.capability.UpdateWorkspaceSettings(request, timeout=CALL_S),
        "capability",
        (f"SELECT count(*) FROM workspace_settings WHERE max_mutations_per_day = {limit} AND updated_by <> ''",),
    )


def key(name: str) -> Decision:
    request = key_service_pb2.CreateKeyRequest(request_id=f"key-{name}", subject=f"bob-{name}")
    return Decision(
        "autodev.gateway.v1.KeyService.CreateKey",
        {"subject": f"bob-{name}"},
        lambda client: client.keys.CreateKey(request, timeout=CALL_S),
        "gateway",
        (f"SELECT count(*) FROM issued_keys WHERE request_id = 'create:key-{name}'",),
    )


async def test_a_decision_is_there_whole_or_not_at_all_whoever_is_killed(storage: Storage, stores: Stores) -> None:
    print(f"AUTODEV_CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    rounds = [
        [
            review_decision(
                "ApproveReview", await waiting_review(stores, f"a{number}"), "approved", "'approved', 'promoted'"
            ),
            review_decision("RejectReview", await waiting_review(stores, f"r{number}"), "rejected", "'rejected'"),
            rollback(await skill_with_two_versions(stores, f"s{number}"), str(number)),
            settings(100 + number),
            key(str(number)),
        ]
        for number in range(ROUNDS)
    ]
    told: Counter[str] = Counter()
    async with Fleet(storage.directory, storage.settings, replicas=1) as fleet, fleet.client() as client:
        for decisions in rounds:
            statuses = asyncio.gather(*(status(decision.ask(client)) for decision in decisions))
            killing = (kill(fleet, victim, chance.uniform(0, LATEST_KILL_S)) for victim in chosen(chance))
            await asyncio.gather(*killing)
            await fleet.serving()
            for decision, answered in zip(decisions, await statuses, strict=True):
                is_done = await eventually(lambda one=decision: whole(storage, client, one), f"{decision.rpc} is whole")  # type: ignore[misc]
                assert answered in ("OK", *(each.name for each in AWAY)), f"{decision.rpc}: {answered}"
                assert answered != "OK" or is_done == "done", f"{decision.rpc} was acknowledged"
                told[f"{answered}, {is_done}"] += 1
            await asyncio.gather(*(called(lambda one=decision: one.ask(client)) for decision in decisions))
            for decision in decisions:
                assert await whole(storage, client, decision) == "done", decision.rpc
        ended = {replica.name: replica.endings for replica in fleet.replicas.values() if replica.endings}
        assert not ended, "a service ended by itself"
    print(f"asked {told.total()} times while services were killed: {dict(told)}")


def chosen(chance: random.Random) -> list[str]:
    return chance.sample(VICTIMS, KILLS_A_ROUND)


async def kill(fleet: Fleet, victim: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    assert fleet.kill(victim)


async def status(call: Awaitable[Any]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def whole(storage: Storage, client: AutoDevClient, decision: Decision) -> str:
    """`done` or `not done`, where everything says the same; empty where it does not."""
    counts = [(await storage.rows(decision.service, query))[0][0] for query in decision.seen]
    if decision.event is not None:
        # The relay publishes first, and takes from the outbox then: an event is in one of both, or in both.
        ids = {event.id for event in [*await outbox(storage), *await storage.events()] if decision.tells(event)}
        counts.append(len(ids))
    if counts != [counts[0]] * len(counts) or counts[0] not in (0, 1):
        return ""
    is_done = counts[0] == 1
    decided, succeeded = await recorded(client, decision)
    assert decided >= is_done, f"{decision.rpc} was done, and its entry is missing"
    assert is_done or not succeeded, f"{decision.rpc} was not done, and its entry says that it was"
    return "done" if is_done else "not done"


async def outbox(storage: Storage) -> list[event_pb2.Event]:
    return [event_pb2.Event.FromString(row) for (row,) in await storage.rows("learning", "SELECT event FROM outbox")]


async def recorded(client: AutoDevClient, decision: Decision) -> tuple[int, int]:
    """How often the audit log has the decision, and how often that it was done. Its chain is verified."""
    verifier, numbers, succeeded = Verifier(TENANT), set[int](), 0
    async for entry in entries(client):
        facts = verifier.take(entry.canonical, entry.hash)
        if facts.get("rpc") == decision.rpc and decision.about.items() <= facts["values"].items():
            numbers.add(entry.number)
        succeeded += entry.decision in numbers and entry.status == "OK"
    return len(numbers), succeeded


async def entries(client: AutoDevClient) -> AsyncIterator[audit_service_pb2.AuditEntry]:
    order, token = audit_service_pb2.AUDIT_ORDER_OLDEST_FIRST, ""
    while True:
        request = audit_service_pb2.ListAuditEntriesRequest(order=order, page_size=500, page_token=token)
        answer = await called(lambda request=request: client.audit.ListAuditEntries(request, timeout=CALL_S))
        for entry in answer.entries:
            yield entry
        token = answer.next_page_token
        if not token:
            return

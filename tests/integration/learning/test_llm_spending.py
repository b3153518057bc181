"""The days' budgets of language models on a real database, and a model's candidate in a real mesh."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from autodev_learning.proposers.llm.spending import Amount, Reservation
from autodev_learning.rows import LlmSpendingRow
from autodev_learning.store.spending import SpendingStore
from autodev_runtime.database import Database
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from tests.storage import Storage

LIMIT = Amount(10_000, 5_000_000)
CALL = Amount(1_000, 400_000)


@dataclass
class Clock:
    """A time that a test sets."""

    now: datetime = field(default=datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def replicas(storage: Storage, clock: Clock) -> AsyncIterator[list[SpendingStore]]:
    """The same books, as two replicas of the service keep them."""
    async with storage.open("learning") as one, storage.open("learning") as other:
        await upgrade(one, "autodev_learning")
        yield [SpendingStore(database, LIMIT, clock) for database in (one, other)]


@pytest.fixture(autouse=True)
def acme() -> Iterator[None]:
    with acting_as(service_identity("learning", "acme")):
        yield


async def granted(stores: list[SpendingStore], calls: int, worst: Amount = CALL) -> list[Reservation]:
    """What is granted of so many calls at once, on all replicas in turns."""
    asked = [stores[number % len(stores)].reserve(worst) for number in range(calls)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in answers if not isinstance(each, Reservation)]
    assert all(isinstance(each, ResourceExhausted) and each.reason == "LLM_BUDGET_SPENT" for each in refused), refused
    return [each for each in answers if isinstance(each, Reservation)]


async def spent(storage: Storage, day: str = "2026-03-01") -> Amount:
    """What is written of the tenant's day."""
    query = f"SELECT tokens, nanousd FROM llm_spending WHERE tenant_id = 'acme' AND day = '{day}'"
    ((tokens, nanousd),) = await storage.rows("learning", query)
    return Amount(tokens, nanousd)


async def test_calls_in_flight_on_all_replicas_never_pass_the_limit(
    storage: Storage, replicas: list[SpendingStore]
) -> None:
    held = await granted(replicas, 40)
    assert len(held) == 10
    assert await spent(storage) == Amount(10_000, 4_000_000)
    assert await storage.rows("learning", "SELECT calls FROM llm_spending") == [(10,)]


async def test_money_is_a_limit_of_its_own(replicas: list[SpendingStore]) -> None:
    assert len(await granted(replicas, 12, Amount(1, 1_000_000))) == 5


async def test_what_a_call_did_not_cost_can_be_spent_again(storage: Storage, replicas: list[SpendingStore]) -> None:
    for reservation in await granted(replicas, 10):
        await replicas[0].settle(reservation, Amount(100, 1_000))
    assert await spent(storage) == Amount(1_000, 10_000)
    assert len(await granted(replicas, 20)) == 9


async def test_a_call_that_cost_more_than_its_worst_is_counted(storage: Storage, replicas: list[SpendingStore]) -> None:
    (reservation,) = await granted(replicas, 1, Amount(9_000, 0))
    await replicas[0].settle(reservation, Amount(11_000, 7))
    assert await spent(storage) == Amount(11_000, 7)
    assert await granted(replicas, 1, Amount(1, 1)) == []


async def test_a_day_is_over_at_midnight_utc(storage: Storage, replicas: list[SpendingStore], clock: Clock) -> None:
    held = await granted(replicas, 20)
    assert len(held) == 10
    with pytest.raises(ResourceExhausted) as refused:
        await replicas[0].reserve(CALL)
    assert refused.value.metadata == {"resets_at": "2026-03-02T00:00:00+00:00"}
    assert refused.value.retry_after == timedelta(seconds=10)
    clock.now += timedelta(seconds=10)
    assert len(await granted(replicas, 20)) == 10
    # A call that began before midnight is settled on the day that it was taken from.
    await replicas[0].settle(held[0], Amount())
    assert (await spent(storage, "2026-03-02")).tokens == 10_000
    assert (await spent(storage, "2026-03-01")).tokens == 9_000


async def test_each_tenant_has_a_budget_of_its_own(replicas: list[SpendingStore]) -> None:
    assert len(await granted(replicas, 20)) == 10
    with acting_as(service_identity("learning", "globex")):
        assert len(await granted(replicas, 20)) == 10


async def test_a_refusal_leaves_nothing_behind(replicas: list[SpendingStore], storage: Storage) -> None:
    assert await granted(replicas, 1, Amount(20_000, 0)) == []
    database: Database
    async with storage.open("learning") as database, database.reading("acme") as session:
        rows = list(await session.scalars(select(LlmSpendingRow)))
    assert [(row.calls, row.tokens) for row in rows] in ([], [(0, 0)])

"""What is asked at the same time is done together."""

import asyncio
from collections.abc import Sequence

import pytest

from autodev_capability import together
from autodev_capability.together import Together
from autodev_runtime.errors import Unavailable


class Work:
    """Answers with what was asked, once it is let; notes the batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.let = asyncio.Event()

    async def __call__(self, lane: str, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append((lane, list(asked)))
        await self.let.wait()
        if -1 in asked:
            raise ZeroDivisionError
        if -2 in asked:
            raise Unavailable("away", reason="AWAY")
        return [ValueError(each) if each >= 100 else each for each in asked]


async def start(together: Together[int, int], asked: Sequence[int], lane: str = "") -> list["asyncio.Task[int]"]:
    tasks = [asyncio.create_task(together.ask(lane, each)) for each in asked]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_a_batch_is_done_is_done_together_in_its_order() -> None:
    work = Work()
    together = Together[int, int](work, 3)
    tasks = await start(together, [0])
    await asyncio.sleep(0)
    tasks += await start(together, [1, 2, 3, 4])
    work.let.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    assert [batch for _, batch in work.batches] == [[0], [1, 2, 3], [4]]


async def test_where_many_ask_more_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "APART_S", 0.2)
    work = Work()
    many = Together[int, int](work, 100)
    tasks = await start(many, [0])
    tasks += await start(many, [1, 2, 3])
    work.let.set()
    await tasks[0]
    tasks += await start(many, [4, 5])
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4, 5]
    assert [batch for _, batch in work.batches] == [[0], [1, 2, 3, 4, 5]]


async def test_few_are_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "APART_S", 3600.0)
    work = Work()
    few = Together[int, int](work, 100)
    tasks = [*await start(few, [0]), *await start(few, [1, 2])]
    work.let.set()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [0, 1, 2]


async def test_lanes_do_not_wait_for_each_other() -> None:
    work = Work()
    together = Together[int, int](work, 3)
    tasks = [*await start(together, [1], "acme"), *await start(together, [2], "globex")]
    await asyncio.sleep(0)
    assert work.batches == [("acme", [1]), ("globex", [2])]
    work.let.set()
    assert await asyncio.gather(*tasks) == [1, 2]


async def test_one_that_fails_is_no_others_fault() -> None:
    work = Work()
    work.let.set()
    together = Together[int, int](work, 10)
    found = await asyncio.gather(*await start(together, [1, -1, 100, 2]), return_exceptions=True)
    assert (found[0], found[3]) == (1, 2)
    assert isinstance(found[1], ZeroDivisionError)
    assert isinstance(found[2], ValueError)


async def test_where_the_database_is_away_all_are_told_and_nothing_is_tried_one_by_one() -> None:
    work = Work()
    work.let.set()
    found = await asyncio.gather(*await start(Together[int, int](work, 10), [1, -2, 2]), return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable] * 3
    assert len(work.batches) == 1


async def test_one_who_gives_up_while_waiting_asked_for_nothing() -> None:
    work = Work()
    together = Together[int, int](work, 10)
    first = await start(together, [0])
    await asyncio.sleep(0)
    gone, stays = await start(together, [1, 2])
    gone.cancel()
    work.let.set()
    assert await asyncio.gather(*first, stays) == [0, 2]
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert work.batches[1] == ("", [2])


async def test_one_who_gives_up_while_it_is_done_keeps_no_answer_from_the_others() -> None:
    work = Work()
    together = Together[int, int](work, 10)
    gone, stays = await start(together, [1, 2])
    await asyncio.sleep(0)
    assert work.batches == [("", [1, 2])]
    gone.cancel()
    await asyncio.wait([gone])
    work.let.set()
    assert await stays == 2
    assert await together.ask("", 3) == 3

"""How much waits in a gateway for a worker of a group that does not read."""

import pytest

from autodev_gateway.event_log import ALL_EVENTS, Draft, EventLog, Retention
from autodev_gateway.groups.ledger import Ledger
from autodev_gateway.groups.runner import OUTBOX_BYTES, GroupRunner, Worker
from autodev_gateway.groups.store import GroupKey, Tenure
from tests.integration.gateway.test_retention import running_log
from tests.storage import Storage

MESSAGE_BYTES = 1024 * 1024


def runner_of(log: EventLog) -> GroupRunner:
    tenure = Tenure(GroupKey("acme", "group"), 1)
    return GroupRunner(tenure, Ledger(0), ALL_EVENTS, log, log.gaps("acme"), lambda: None)


async def published(log: EventLog, count: int, size_bytes: int) -> list[int]:
    drafts = [Draft("acme", f"{number:036d}", 20, "ada", "", bytes(size_bytes)) for number in range(count)]
    return [place for each in drafts for place in await log.append([each])]


async def filled(runner: GroupRunner, worker: Worker) -> int:
    """Let the runner do all that there is to do. Returns how many bytes wait then."""
    while await runner._step():
        pass
    return sum(len(each.record.sized) for each in worker.outbox)


async def read_all(runner: GroupRunner, worker: Worker) -> list[int]:
    """What a worker gets that reads and settles nothing."""
    places: list[int] = []
    while taken := runner.take(worker, MESSAGE_BYTES):
        places += [each.record.seq for each in taken]
        await filled(runner, worker)
    return places


@pytest.mark.parametrize("size_bytes", [1000, 50_000, 300_000, 3_000_000])
async def test_a_worker_that_does_not_read_has_so_much_waiting_or_one_event(storage: Storage, size_bytes: int) -> None:
    count = 3 * OUTBOX_BYTES // size_bytes + 2
    async with running_log(storage, Retention()) as log:
        places = await published(log, count, size_bytes)
        runner = runner_of(log)
        # The second gets what the first has left, which is read from the database again.
        for _ in range(2):
            with runner.worker(count, 30.0) as worker:
                assert OUTBOX_BYTES <= await filled(runner, worker) < OUTBOX_BYTES + size_bytes + 100
                assert await read_all(runner, worker) == places

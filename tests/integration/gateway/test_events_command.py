"""`autodev events` on a gateway: what a group could not handle, and has once more."""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_cli.tailing import FIRST_SPAN, WIDER, start_of_last
from autodev_gateway import metrics
from tests.integration.gateway.parts import ACME, Running, WorkerStream, failed, publish, started, working
from tests.storage import Storage

RUN_S = 60.0
TRIES = 5
TASK_FAILURES = pb.EventFilter(types=[event_pb2.EVENT_TYPE_TASK_FAILED])


async def events(gateway: Running, *arguments: str, status: int = 0) -> str:
    """What the command printed, which ends with this status: as an error, where that is one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autodev_cli", "events", *arguments),
        *("--address", gateway.public_address, "--api-key", gateway.key(ACME)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(RUN_S):
        out, err = await process.communicate()
    assert process.returncode == status, err
    return (err if status else out).decode()


async def give_up(worker: WorkerStream, count: int) -> None:
    """Fail at so many events as often as it takes."""
    for _ in range(count * TRIES):
        worker.reject(await worker.next(), "boom\nand why")


async def test_dead_letters_are_listed_with_their_errors_and_replayed(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        for command in ("dead", "replay"):
            told = await events(gateway, command, "group", status=1)
            assert told == f"autodev: no group 'group' [NOT_FOUND from {gateway.public_address}]\n"
        given_up = [failed(number) for number in range(3)]
        await publish(acme, given_up)
        async with working(acme, "group") as worker:
            await give_up(worker, len(given_up))
            letters = [json.loads(line) for line in (await events(gateway, "dead", "group", "-o", "json")).splitlines()]
            assert [each["event"]["id"] for each in letters] == [event.id for event in given_up]
            assert letters[0]["error"] == "boom\nand why"
            told = await events(gateway, "dead", "group", "--first", "1")
            assert [each["id"] in told for each in letters] == [True, False, False]
            assert "task_failed" in told
            assert "boom" in told

            assert await events(gateway, "replay", "group", letters[1]["id"]) == "1 will be delivered again\n"
            again = await worker.next()
            assert (again.event.id, again.attempt) == (given_up[1].id, 1)
            worker.acknowledge(again)
            assert json.loads(await events(gateway, "replay", "group", "-o", "json")) == {"replayed": 2}
        assert "has no dead letters" in await events(gateway, "dead", "group")


async def test_dead_letters_are_discarded_and_groups_listed_and_deleted(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        assert "has no groups" in await events(gateway, "groups")
        told = await events(gateway, "delete-group", "group", status=1)
        assert told == f"autodev: no group 'group' [NOT_FOUND from {gateway.public_address}]\n"
        await publish(acme, [failed(number) for number in range(3)])
        async with working(acme, "group", filter=TASK_FAILURES) as worker:
            await give_up(worker, 3)
            letters = [json.loads(line) for line in (await events(gateway, "dead", "group", "-o", "json")).splitlines()]
            assert "name letters, or say --all" in await events(gateway, "discard", "group", status=2)
            assert await events(gateway, "discard", "group", letters[0]["id"]) == "1 forgotten\n"
            (row,) = [line for line in (await events(gateway, "groups")).splitlines() if line.startswith("group ")][1:]
            assert row.split()[:2] == ["group", "task_failed"]
            assert row.split()[-2:] == ["0", "2"]
            assert "end them first" in await events(gateway, "delete-group", "group", status=1)
            assert json.loads(await events(gateway, "discard", "group", "--all", "-o", "json")) == {"discarded": 2}
        assert "has no dead letters" in await events(gateway, "dead", "group")
        (listed,) = json.loads(await events(gateway, "groups", "-o", "json"))["groups"]
        assert (listed["name"], listed["dead_letters"]) == ("group", "0")
        assert await events(gateway, "delete-group", "group") == "group is deleted\n"
        assert "has no groups" in await events(gateway, "groups")


HANDLERS = """
from autodev_sdk import EventBus, payload_of

bus = EventBus("quoting")


@bus.on_task_fail
async def quotes(event):
    raise ValueError("no such task: " + payload_of(event).task_description)
"""


async def test_a_handlers_error_that_quotes_an_agent_is_one_line_on_the_terminal(
    storage: Storage, tmp_path: Path
) -> None:
    installed = tmp_path / "quoting-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: quoting\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[autodev.event_handlers]\nquoting = quoting:bus\n")
    (tmp_path / "quoting.py").write_text(HANDLERS)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    async with started(storage) as gateway, gateway.client() as acme:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "autodev_cli", "events", "handle", "--only", "quoting"),
            *("--address", gateway.public_address, "--api-key", gateway.key(ACME)),
            env={**os.environ, "PYTHONPATH": paths},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(RUN_S):
                assert await process.stderr.readline() == b"Events are handled by quoting; Ctrl-C ends.\n"
                event = failed(1)
                event.task_failed.task_description = "\r\nall is well\x1b[1A\x1b[2K"
                await publish(acme, [event])
                told = (await process.stderr.readline()).decode()
            assert event.id in told
            assert told.endswith("ValueError: no such task: \\r\\nall is well\\x1b[1A\\x1b[2K\n")
        finally:
            process.terminate()
            await process.wait()


async def test_the_last_events_are_found_from_the_end(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        with monkeypatch.context() as earlier:
            long_ago_ns = time.time_ns() - 30 * 24 * 3600 * 10**9
            earlier.setattr("autodev_gateway.event_log.appender.time.time_ns", lambda: long_ago_ns)
            for _ in range(4):
                await publish(acme, [failed(number) for number in range(1000)])
        last = [failed(number) for number in range(5)]
        await publish(acme, last)
        before = metrics.SENT._value.get()
        told = await events(gateway, "tail", "-n", "5", "-o", "json")
        assert [json.loads(line)["id"] for line in told.splitlines()] == [event.id for event in last]
        # The oldest event is asked for as well, and until that is read more of the beginning is on its way.
        assert metrics.SENT._value.get() - before < 2000
        assert len((await events(gateway, "tail", "-n", "7")).splitlines()) == 7
        assert len((await events(gateway, "tail", "--type", "task_failed", "-n", "6000")).splitlines()) == 4005


async def test_as_far_back_as_it_takes(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        await publish(acme, [failed(number) for number in range(3)])
        recorded = datetime.now(UTC)
        await publish(acme, [failed(number) for number in range(3)])
        for spans in (FIRST_SPAN, FIRST_SPAN * WIDER):
            now = recorded + spans
            assert await start_of_last(acme, TASK_FAILURES, 3, now) == recorded
            assert await start_of_last(acme, TASK_FAILURES, 4, now) is None
        assert await start_of_last(acme, TASK_FAILURES, 1, recorded - timedelta(days=1)) is None

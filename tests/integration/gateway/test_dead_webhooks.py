"""Webhooks that were given up: operators see them, and have them passed on after all."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from autodev.fitness.v1 import fitness_service_pb2
from autodev.gateway.v1 import audit_service_pb2
from autodev.gateway.v1 import webhook_service_pb2 as pb
from autodev_gateway.webhooks import dead_store
from autodev_gateway.webhooks.store import Key, Receipt, ReceiptStore, Settlement, State
from autodev_sdk import AutoDevClient
from tests.integration.fitness.parts import create
from tests.integration.gateway.parts import ACME, GLOBEX, Running
from tests.integration.gateway.test_webhooks import RECEIPTS, hooked, is_scored
from tests.serving import refusal
from tests.storage import Storage
from tests.webhooks import body_of

RUN_S = 60.0
SECOND_US = 1_000_000


@pytest_asyncio.fixture
async def store(gateway: Running, storage: Storage) -> AsyncIterator[ReceiptStore]:
    """The table, beside a gateway that takes in no webhooks itself."""
    async with storage.open("gateway") as database:
        yield ReceiptStore(database)


async def keep(store: ReceiptStore, key: Key, state: State, at_s: int) -> None:
    """A receipt that came in at a time, and was settled so a second after it."""
    signal = fitness_service_pb2.ExternalSignal(id=f"{key.source}:{key.webhook_id}", conversion_value=7)
    call = fitness_service_pb2.EvaluateDelayedWebhookRequest(variant_id="v-1", signals=[signal])
    at_us = at_s * SECOND_US
    await store.keep(Receipt(key, b"x" * 32, call.SerializeToString(), ""), at_us)
    if state is not State.PENDING:
        (taken,) = await store.take(at_us, SECOND_US, 10)
        await store.settle([Settlement(taken, state, at_us + SECOND_US, "NOT_FOUND: no such variant")])


async def fill(store: ReceiptStore) -> None:
    """Dead ones of two sources, one of another tenant, and some that are not dead."""
    await keep(store, Key(ACME, "crm", "delivered"), State.DELIVERED, 50)
    await keep(store, Key(ACME, "shop", "b:1"), State.DEAD, 100)
    await keep(store, Key(ACME, "crm", "c"), State.DEAD, 200)
    await keep(store, Key(ACME, "crm", "a"), State.DEAD, 300)
    await keep(store, Key(GLOBEX, "crm", "a"), State.DEAD, 10)
    await keep(store, Key(ACME, "crm", "waits"), State.PENDING, 400)


async def listed(client: AutoDevClient, **request: Any) -> list[str]:
    """The ids of a page, and its token where there are more."""
    answer = await client.webhooks.ListDeadWebhooks(pb.ListDeadWebhooksRequest(**request))
    return [each.id for each in answer.dead_webhooks]


async def states(storage: Storage) -> dict[str, str]:
    return {name: state for name, state, _ in await storage.rows("gateway", RECEIPTS)}


async def test_what_was_given_up_is_replayed_and_counts_once(storage: Storage) -> None:
    async with hooked(storage, webhook_give_up_s=0.001) as hooks, hooks.gateway.client() as acme:
        async with hooks.fitness() as fitness:
            variant = await create(fitness)
        await hooks.sender.send(body_of("conversion_value", variant.id, value=250), "msg_1")
        await hooks.is_settled("msg_1", State.DEAD)
        (told,) = (await acme.webhooks.ListDeadWebhooks(pb.ListDeadWebhooksRequest())).dead_webhooks
        assert (told.id, told.source, told.webhook_id) == ("crm:msg_1", "crm", "msg_1")
        assert (told.type, told.variant_id, told.attempts) == ("conversion_value", variant.id, 1)
        assert told.error
        assert told.received_at.ToMicroseconds() <= told.dead_at.ToMicroseconds()
        async with hooks.fitness() as fitness:
            replay = pb.ReplayDeadWebhooksRequest(dead_webhook_ids=[told.id])
            assert (await acme.webhooks.ReplayDeadWebhooks(replay)).replayed == 1
            await is_scored(fitness, variant.id, 0.25)
            await hooks.is_settled("msg_1", State.DELIVERED)
            # Delivered by now, so there is nothing to replay, and nothing counts twice.
            assert (await acme.webhooks.ReplayDeadWebhooks(replay)).replayed == 0
            assert await listed(acme) == []
            await is_scored(fitness, variant.id, 0.25)


async def test_a_list_holds_a_tenants_dead_ones_the_longest_dead_first(
    store: ReceiptStore, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    await fill(store)
    assert await listed(acme) == ["shop:b:1", "crm:c", "crm:a"]
    assert await listed(acme, source="crm") == ["crm:c", "crm:a"]
    assert await listed(acme, source="nobody") == []
    assert await listed(globex) == ["crm:a"]
    first = await acme.webhooks.ListDeadWebhooks(pb.ListDeadWebhooksRequest(page_size=2))
    assert [each.id for each in first.dead_webhooks] == ["shop:b:1", "crm:c"]
    rest = pb.ListDeadWebhooksRequest(page_size=2, page_token=first.next_page_token)
    last = await acme.webhooks.ListDeadWebhooks(rest)
    assert ([each.id for each in last.dead_webhooks], last.next_page_token) == (["crm:a"], "")
    (told,) = last.dead_webhooks
    assert (told.type, told.variant_id, told.error) == ("conversion_value", "v-1", "NOT_FOUND: no such variant")
    assert (told.received_at.seconds, told.dead_at.seconds) == (300, 301)


async def test_a_replay_takes_what_was_asked_for_and_nothing_else(
    store: ReceiptStore, storage: Storage, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    await fill(store)
    named = ["crm:c", "crm:waits", "crm:delivered", "shop:c", "crm:gone"]
    told = await acme.webhooks.ReplayDeadWebhooks(pb.ReplayDeadWebhooksRequest(dead_webhook_ids=named))
    assert (told.replayed, told.remaining) == (1, 0)
    assert await listed(acme) == ["shop:b:1", "crm:a"]
    told = await acme.webhooks.ReplayDeadWebhooks(
        pb.ReplayDeadWebhooksRequest(source="shop", dead_webhook_ids=["crm:a"])
    )
    assert (told.replayed, told.remaining) == (0, 0)
    told = await acme.webhooks.ReplayDeadWebhooks(pb.ReplayDeadWebhooksRequest(source="shop"))
    assert (told.replayed, told.remaining) == (1, 0)
    told = await acme.webhooks.ReplayDeadWebhooks(pb.ReplayDeadWebhooksRequest())
    assert (told.replayed, told.remaining) == (1, 0)
    # With tries and time counted anew, and due at once.
    query = "SELECT state, attempts, error, pending_since_us = due_us FROM webhook_receipts WHERE webhook_id = 'c'"
    assert await storage.rows("gateway", query) == [("pending", 0, "", True)]
    assert (await states(storage))["delivered"] == "delivered"
    assert await listed(globex) == ["crm:a"]


async def test_one_call_replays_so_many_and_says_what_remains(
    store: ReceiptStore, acme: AutoDevClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_store, "REPLAYED_AT_ONCE", 2)
    await fill(store)
    told = await acme.webhooks.ReplayDeadWebhooks(pb.ReplayDeadWebhooksRequest())
    assert (told.replayed, told.remaining) == (2, 1)
    assert await listed(acme) == ["crm:a"]


@pytest.mark.parametrize("wrong", ["crm", "crm:", ":a"])
async def test_an_id_that_is_none_is_refused_by_its_place(acme: AutoDevClient, wrong: str) -> None:
    request = pb.ReplayDeadWebhooksRequest(dead_webhook_ids=["crm:a", wrong])
    told = await refusal(acme.webhooks.ReplayDeadWebhooks(request))
    assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["dead_webhook_ids[1]"])


async def test_a_replay_is_in_the_audit_log_with_what_was_replayed(store: ReceiptStore, acme: AutoDevClient) -> None:
    await fill(store)
    await acme.webhooks.ReplayDeadWebhooks(pb.ReplayDeadWebhooksRequest(source="crm", dead_webhook_ids=["crm:a"]))
    order = audit_service_pb2.AUDIT_ORDER_OLDEST_FIRST
    request = audit_service_pb2.ListAuditEntriesRequest(order=order)
    decided, ended = (await acme.audit.ListAuditEntries(request)).entries
    assert decided.rpc == "autodev.gateway.v1.WebhookService.ReplayDeadWebhooks"
    assert dict(decided.values.items()) == {"source": "crm", "dead_webhook_ids": decided.values["dead_webhook_ids"]}
    assert list(decided.values["dead_webhook_ids"]) == ["crm:a"]  # type: ignore[arg-type]
    assert (ended.decision, ended.status, dict(ended.values.items())) == (decided.number, "OK", {"replayed": 1})


async def webhooks(gateway: Running, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autodev_cli", "webhooks", *arguments),
        *("--address", gateway.public_address, "--api-key", gateway.key(ACME)),
        env={"PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(RUN_S):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_commands_list_and_replay(gateway: Running, store: ReceiptStore, acme: AutoDevClient) -> None:
    await fill(store)
    status, out, err = await webhooks(gateway, "list", "-o", "json", "--first", "2")
    assert status == 0, err
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["shop:b:1", "crm:c"]
    status, out, err = await webhooks(gateway, "list", "--source", "crm")
    assert (status, out.count("crm:"), "NOT_FOUND: no such variant" in out) == (0, 2, True), err
    status, _, err = await webhooks(gateway, "replay")
    assert (status, "name webhooks, or say --all" in err) == (2, True)
    status, out, err = await webhooks(gateway, "replay", "shop:b:1", "crm:gone")
    assert (status, out.strip()) == (0, "1 will be passed on again"), err
    status, out, err = await webhooks(gateway, "replay", "--all", "--source", "crm", "-o", "json")
    assert (status, json.loads(out)["replayed"]) == (0, 2), err
    assert await listed(acme) == []

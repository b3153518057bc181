"""Keys that operators make: shown once, good at every gateway, ended everywhere, and with what is open by them."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio

from autodev.gateway.v1 import event_service_pb2
from autodev.gateway.v1 import key_service_pb2 as pb
from autodev.options.v1 import access_pb2
from autodev_gateway.identity import issued
from autodev_gateway.identity.issued import FollowOptions, IssuedKeys
from autodev_gateway.identity.issued_key import Grant
from autodev_gateway.identity.issuing import KeyIssuer
from autodev_gateway.identity.key_store import KeyStore
from autodev_gateway.identity.texts import digest_of
from autodev_gateway.settings import Mode
from autodev_runtime.errors import Unauthenticated
from autodev_runtime.identity import Identity
from autodev_runtime.migrations import upgrade
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import PATIENCE_S, Running, failed, publish, started, working
from tests.serving import Refusal, refusal
from tests.storage import Storage

EVERYWHERE_S = 2.0
"""Within what time a change of keys holds at every gateway."""
POLL_S = 0.1


def request(name: str = "k1", **grant: Any) -> pb.CreateKeyRequest:
    return pb.CreateKeyRequest(request_id=name, subject="bob", **grant)


def lasting(seconds: float, name: str = "k1") -> pb.CreateKeyRequest:
    made = request(name)
    made.lifetime.FromMilliseconds(int(seconds * 1000))
    return made


def rotation(key: pb.ApiKey, overlap_s: float | None = None, name: str = "r1") -> pb.RotateKeyRequest:
    made = pb.RotateKeyRequest(request_id=name, key_id=key.id)
    if overlap_s is not None:
        made.overlap.FromMilliseconds(int(overlap_s * 1000))
    return made


def with_key(gateway: Running, text: str) -> AutoDevClient:
    return AutoDevClient(gateway.public_address, text)


async def opens(gateway: Running, text: str) -> bool:
    async with with_key(gateway, text) as client:
        try:
            await publish(client, [failed(1)])
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            return False
        return True


async def following(client: AutoDevClient) -> Any:
    call = client.events.Subscribe(event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_NOW))
    await call.initial_metadata()
    return call


async def end_of(call: Any) -> Refusal:
    async def read_on() -> None:
        async for _ in call:
            pass

    async with asyncio.timeout(PATIENCE_S):
        return await refusal(read_on())


@pytest_asyncio.fixture
async def other(storage: Storage, gateway: Running) -> AsyncIterator[Running]:
    """Another gateway on the same database, with none of the first's files."""
    directory = storage.directory / "other"
    async with started(storage, data_dir=directory, mode=Mode.PRODUCTION, key_poll_s=POLL_S) as running:
        yield running


async def test_a_key_opens_every_gateway_at_once_for_its_tenant_and_as_its_subject(
    acme: AutoDevClient, globex: AutoDevClient, gateway: Running, other: Running
) -> None:
    made = await acme.keys.CreateKey(request(roles=[access_pb2.ROLE_OPERATOR]))
    assert (made.key.subject, made.key.created_by) == ("bob", "developer")
    assert list(made.key.roles) == [access_pb2.ROLE_OPERATOR]
    async with with_key(gateway, made.text) as here, with_key(other, made.text) as there:
        for client in (here, there):
            listed = await client.keys.ListKeys(pb.ListKeysRequest())
            assert [key.id for key in listed.keys] == [made.key.id]
        mine = await there.keys.CreateKey(request("k2"))
        assert mine.key.created_by == "bob"
    assert not (await globex.keys.ListKeys(pb.ListKeysRequest())).keys


async def test_a_keys_text_is_told_once_and_is_nowhere_else(
    acme: AutoDevClient, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = await acme.keys.CreateKey(request())
    assert len(made.text) >= 46
    assert made.text.startswith(made.key.prefix)
    again = await acme.keys.CreateKey(request())
    assert (again.key.id, again.text) == (made.key.id, "")
    assert made.text not in str(await storage.rows("gateway", "SELECT * FROM issued_keys"))
    assert made.text not in caplog.text


async def test_keys_are_for_operators(gateway: Running, acme: AutoDevClient) -> None:
    made = await acme.keys.CreateKey(request(roles=[access_pb2.ROLE_RUNTIME, access_pb2.ROLE_REVIEWER]))
    async with with_key(gateway, made.text) as client:
        for call in (
            client.keys.CreateKey(request("k2")),
            client.keys.ListKeys(pb.ListKeysRequest()),
            client.keys.RotateKey(rotation(made.key)),
            client.keys.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.id)),
        ):
            told = await refusal(call)
            assert (told.code, told.reason) == ("PERMISSION_DENIED", "ROLE_REQUIRED")


async def test_a_revoked_key_ends_everywhere_and_so_do_its_streams(
    acme: AutoDevClient, gateway: Running, other: Running
) -> None:
    made = await acme.keys.CreateKey(request())
    async with with_key(gateway, made.text) as here, with_key(other, made.text) as there:
        streams = [await following(here), await following(there)]
        async with working(there) as worker:
            revoked = await acme.keys.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.id))
            started_at = time.monotonic()
            assert revoked.key.HasField("revoked_at")
            for ended in await asyncio.gather(*map(end_of, streams)):
                assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "CREDENTIAL_ENDED")
            assert (await refusal(worker.next())).reason == "CREDENTIAL_ENDED"
            assert time.monotonic() - started_at < EVERYWHERE_S
    assert not await opens(gateway, made.text)
    assert not await opens(other, made.text)
    again = await acme.keys.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.id))
    assert again.key == revoked.key


async def test_a_key_ends_when_its_lifetime_is_over(acme: AutoDevClient, gateway: Running) -> None:
    made = await acme.keys.CreateKey(lasting(1.0))
    async with with_key(gateway, made.text) as client:
        stream = await following(client)
        ended = await end_of(stream)
        assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "CREDENTIAL_ENDED")
        assert time.time() >= made.key.expires_at.ToDatetime().timestamp() - 0.1
    assert not await opens(gateway, made.text)


async def test_a_rotated_key_is_good_for_the_overlap(acme: AutoDevClient, gateway: Running, other: Running) -> None:
    made = await acme.keys.CreateKey(request(roles=[access_pb2.ROLE_RUNTIME], description="the runtime's"))
    async with with_key(other, made.text) as client:
        stream = await following(client)
        rotated = await acme.keys.RotateKey(rotation(made.key, 1.0))
        assert rotated.replaced.replaced_by == rotated.key.id
        assert (rotated.key.roles, rotated.key.description) == (made.key.roles, "the runtime's")
        assert not rotated.key.HasField("expires_at")
        again = await acme.keys.RotateKey(rotation(made.key, 1.0))
        assert (again.key.id, again.text, again.replaced.id) == (rotated.key.id, "", made.key.id)
        assert await opens(other, rotated.text)
        assert (await end_of(stream)).reason == "CREDENTIAL_ENDED"
    assert not await opens(gateway, made.text)
    told = await refusal(acme.keys.RotateKey(rotation(made.key, name="r2")))
    assert (told.code, told.reason, told.metadata) == (
        "FAILED_PRECONDITION",
        "KEY_ROTATED",
        {"replaced_by": rotated.key.id},
    )


async def test_an_overlap_of_nothing_ends_the_old_key_now_and_a_lifetime_is_kept(
    acme: AutoDevClient, gateway: Running
) -> None:
    made = await acme.keys.CreateKey(lasting(1000))
    rotated = await acme.keys.RotateKey(rotation(made.key, 0))
    assert not await opens(gateway, made.text)
    lived = rotated.key.expires_at.ToMicroseconds() - rotated.key.created_at.ToMicroseconds()
    assert lived == 1000 * 1_000_000
    await acme.keys.RevokeKey(pb.RevokeKeyRequest(key_id=rotated.key.id))
    assert (await refusal(acme.keys.RotateKey(rotation(rotated.key, name="r2")))).reason == "KEY_ENDED"


async def test_another_tenants_key_is_not_found(acme: AutoDevClient, globex: AutoDevClient, gateway: Running) -> None:
    made = await acme.keys.CreateKey(request())
    for call in (
        globex.keys.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.id)),
        globex.keys.RotateKey(rotation(made.key)),
    ):
        assert (await refusal(call)).code == "NOT_FOUND"
    theirs = await globex.keys.CreateKey(request())
    assert theirs.key.id != made.key.id
    assert await opens(gateway, made.text)


async def test_keys_are_listed_newest_first_in_pages(acme: AutoDevClient) -> None:
    made = [(await acme.keys.CreateKey(request(f"k{number}"))).key.id for number in range(5)]
    found: list[str] = []
    token = ""
    for _ in range(3):
        page = await acme.keys.ListKeys(pb.ListKeysRequest(page_size=2, page_token=token))
        found += [key.id for key in page.keys]
        token = page.next_page_token
    assert (found, token) == (made[::-1], "")


async def test_a_tenant_has_a_bounded_number_of_keys_that_are_good(storage: Storage) -> None:
    async with started(storage, max_keys_per_tenant=2) as gateway, gateway.client() as operator:
        first, _ = [await operator.keys.CreateKey(request(f"k{number}")) for number in range(2)]
        for call in (operator.keys.CreateKey(request("k3")), operator.keys.RotateKey(rotation(first.key))):
            told = await refusal(call)
            assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_KEYS")
        await operator.keys.RevokeKey(pb.RevokeKeyRequest(key_id=first.key.id))
        assert (await operator.keys.CreateKey(request("k3"))).text


async def test_keys_that_are_made_at_once_are_all_known(acme: AutoDevClient, other: Running) -> None:
    made = await asyncio.gather(*(acme.keys.CreateKey(request(f"k{number}")) for number in range(8)))
    assert all(await asyncio.gather(*(opens(other, each.text) for each in made)))


async def test_when_a_key_was_used_is_known_about(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "USED_PERIOD_S", 0.05)
    async with started(storage) as gateway, gateway.client() as operator:
        made = await operator.keys.CreateKey(request())
        assert not made.key.HasField("last_used_at")
        assert await opens(gateway, made.text)
        deadline = time.monotonic() + PATIENCE_S
        while not (key := (await operator.keys.ListKeys(pb.ListKeysRequest())).keys[0]).HasField("last_used_at"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert key.last_used_at.ToMicroseconds() >= made.key.created_at.ToMicroseconds()


async def test_a_gateway_that_cannot_follow_lets_nobody_in_by_such_keys(storage: Storage) -> None:
    async with started(storage, key_poll_s=60, key_stale_s=0.2) as gateway, gateway.client() as developer:
        made = await developer.keys.CreateKey(request())
        async with with_key(gateway, made.text) as client:
            await asyncio.sleep(0.3)
            told = await refusal(client.events.Publish(event_service_pb2.PublishRequest(events=[failed(1)])))
            assert (told.code, told.reason) == ("UNAVAILABLE", "KEYS_STALE")
        await publish(developer, [failed(2)])


async def test_keys_outlive_the_gateway(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as operator:
        good = await operator.keys.CreateKey(request("k1"))
        ended = await operator.keys.CreateKey(request("k2"))
        await operator.keys.RevokeKey(pb.RevokeKeyRequest(key_id=ended.key.id))
    async with started(storage, mode=Mode.PRODUCTION, data_dir=storage.directory / "empty") as gateway:
        assert await opens(gateway, good.text)
        assert not await opens(gateway, ended.text)


async def test_a_clock_that_was_ahead_costs_nobody_a_key(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
        store = KeyStore(database)
        operator = Identity("acme", "ada", frozenset())
        grant = Grant("bob", frozenset(), lifetime=timedelta(minutes=10))
        running, started_meanwhile = IssuedKeys(store, FollowOptions()), IssuedKeys(store, FollowOptions())
        await running.load()
        made = await KeyIssuer(store, 10).create(operator, grant, "k1", issued.now_us())
        digest = digest_of(made.text)
        assert await running.find(digest) is not None
        with monkeypatch.context() as ahead:
            late_s = time.time() + 3600
            ahead.setattr(time, "time", lambda: late_s)
            ahead.setattr(time, "time_ns", lambda: int(late_s * 1e9))
            running.forget_ended()
            await started_meanwhile.load()
            for keys in (running, started_meanwhile):
                with pytest.raises(Unauthenticated):
                    await keys.find(digest)
        for keys in (running, started_meanwhile):
            assert await keys.find(digest) is not None


async def test_any_number_of_keys_may_have_been_used(storage: Storage) -> None:
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
        store = KeyStore(database)
        made = await KeyIssuer(store, 10).create(
            Identity("acme", "ada", frozenset()), Grant("bob", frozenset()), "k1", issued.now_us()
        )
        await store.used({made.key.id, *(f"{number:036d}" for number in range(33_000))}, 7)
        assert [key.last_used_us for key in await store.page("acme", None, 10)] == [7]


async def test_a_role_that_is_none_is_refused(acme: AutoDevClient) -> None:
    told = await refusal(acme.keys.CreateKey(request(roles=[access_pb2.ROLE_UNSPECIFIED])))
    assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["roles"])

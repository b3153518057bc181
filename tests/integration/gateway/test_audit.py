"""The audit log: no decision without its entry, whichever gateway it comes by, and no change that is not found."""

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.gateway.v1 import audit_service_pb2 as pb
from autodev.gateway.v1 import event_pb2, event_service_pb2, key_service_pb2
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev.learning.v1 import review_service_pb2
from autodev.options.v1 import access_pb2
from autodev_gateway.audit import recorder
from autodev_gateway.audit.log import AuditLog
from autodev_runtime.audit_chain import Head, Verifier
from autodev_runtime.errors import NotFound
from autodev_runtime.server import Endpoint, Served, running
from autodev_runtime.settings import ServiceSettings
from autodev_sdk import AutoDevClient
from autodev_sdk.events import uuid7
from tests.integration.gateway.parts import PATIENCE_S, Running, started, until
from tests.mesh import eventually
from tests.postgresql import SUPERUSER, Server
from tests.serving import refusal
from tests.storage import Storage, Storages

CAPABILITY = "autodev.capability.v1.CapabilityService"
FITNESS = "autodev.fitness.v1.FitnessService"
REVIEWS = "autodev.learning.v1.ReviewService"
SECRET = "because of what nobody may read here"
SETTINGS = capability.WorkspaceSettings(enabled=True, max_mutations_per_day=7, proposers=["case_bank"])


@dataclass
class Behind:
    """Services behind the gateway that note what they are asked."""

    done: list[str] = field(default_factory=list)

    def add_capability(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "SetMaturity": grpc.unary_unary_rpc_method_handler(self.set_maturity),
            "UpdateWorkspaceSettings": grpc.unary_unary_rpc_method_handler(self.update),
            "RegisterGate": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        server.add_registered_method_handlers(CAPABILITY, handlers)

    def add_reviews(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {"ApproveReview": grpc.unary_unary_rpc_method_handler(self.refuse)}
        server.add_registered_method_handlers(REVIEWS, handlers)

    def add_fitness(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {"EvaluateInitialProxy": grpc.unary_unary_rpc_method_handler(self.evaluate)}
        server.add_registered_method_handlers(FITNESS, handlers)

    async def evaluate(self, request: bytes, context: Any) -> bytes:
        self.done.append(fitness.EvaluateInitialProxyRequest.FromString(request).variant_id)
        return b""

    async def set_maturity(self, request: bytes, context: Any) -> bytes:
        self.done.append(capability.SetMaturityRequest.FromString(request).agent_id)
        return b""

    async def update(self, request: bytes, context: Any) -> bytes:
        self.done.append("settings")
        return b""

    async def hang(self, request: bytes, context: Any) -> bytes:
        self.done.append("gate")
        await asyncio.Event().wait()
        return b""

    async def refuse(self, request: bytes, context: Any) -> bytes:
        raise NotFound("review", "r-1")


@pytest_asyncio.fixture
async def behind() -> AsyncIterator[tuple[Behind, str]]:
    made = Behind()
    served = [
        Served(CAPABILITY, made.add_capability),
        Served(REVIEWS, made.add_reviews),
        Served(FITNESS, made.add_fitness),
    ]
    endpoint = Endpoint("127.0.0.1:0", served)
    async with running("behind", ServiceSettings(port=0, drain_s=0), [endpoint]):
        yield made, f"127.0.0.1:{endpoint.port}"


@contextlib.asynccontextmanager
async def gateway_before(address: str, storage: Storage, **stated: Any) -> AsyncIterator[Running]:
    async with started(
        storage, capability_address=address, learning_address=address, fitness_address=address, **stated
    ) as gateway:
        yield gateway


def trust(agent: str) -> capability.SetMaturityRequest:
    return capability.SetMaturityRequest(agent_id=agent, maturity=capability.MATURITY_LEVEL_INTERN, reason=SECRET)


async def entries_of(client: AutoDevClient, size: int = 500) -> list[pb.AuditEntry]:
    """The whole chain, verified."""
    found: list[pb.AuditEntry] = []
    verifier, token = Verifier("acme"), ""
    while True:
        request = pb.ListAuditEntriesRequest(order=pb.AUDIT_ORDER_OLDEST_FIRST, page_size=size, page_token=token)
        page = await client.audit.ListAuditEntries(request)
        for entry in page.entries:
            verifier.take(entry.canonical, entry.hash)
            found.append(entry)
        token = page.next_page_token
        if not token:
            return found


async def entries_when(client: AutoDevClient, count: int) -> list[pb.AuditEntry]:
    """The chain, once it has so many entries: who is refused may know it before the outcome is written."""

    async def all_of_them() -> list[pb.AuditEntry] | None:
        entries = await entries_of(client)
        return entries if len(entries) >= count else None

    return await eventually(all_of_them, f"{count} entries", PATIENCE_S)


def values_of(entry: pb.AuditEntry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.canonical)["values"]
    return found


async def test_a_decision_has_an_entry_of_who_what_and_how_it_ended(
    storage: Storage, behind: tuple[Behind, str]
) -> None:
    async with gateway_before(behind[1], storage) as gateway, gateway.client() as client:
        await client.capability.SetMaturity(trust("ada"))
        await client.capability.UpdateWorkspaceSettings(capability.UpdateWorkspaceSettingsRequest(settings=SETTINGS))
        refused = review_service_pb2.ApproveReviewRequest(review_id="r-1", reason=SECRET)
        assert (await refusal(client.reviews.ApproveReview(refused))).code == "NOT_FOUND"
        entries = await entries_when(client, 6)
        decisions, outcomes = entries[::2], entries[1::2]
        assert {entry.kind for entry in decisions} == {pb.AUDIT_KIND_DECISION}
        assert [entry.rpc.rpartition(".")[2] for entry in decisions] == [
            "SetMaturity",
            "UpdateWorkspaceSettings",
            "ApproveReview",
        ]
        assert [values_of(entry) for entry in decisions] == [
            {"agent_id": "ada", "maturity": "MATURITY_LEVEL_INTERN"},
            {"settings": {"enabled": True, "max_mutations_per_day": 7, "proposers": ["case_bank"]}},
            {"review_id": "r-1"},
        ]
        assert decisions[0].values["agent_id"] == "ada"
        assert {entry.subject for entry in decisions} == {"developer"}
        assert decisions[0].credential.startswith("file:")
        assert list(decisions[0].roles) == ["operator", "reviewer", "runtime"]
        assert [(entry.decision, entry.status) for entry in outcomes] == [(1, "OK"), (3, "OK"), (5, "NOT_FOUND")]
        assert SECRET not in str(await storage.rows("gateway", "SELECT * FROM audit_entries"))
        assert await storage.rows("gateway", "SELECT * FROM audit_open") == []


async def test_keys_are_decisions_and_no_text_of_one_is_in_the_log(
    storage: Storage, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    request = key_service_pb2.CreateKeyRequest(request_id="k", subject="bob", roles=[access_pb2.ROLE_OPERATOR])
    made = await acme.keys.CreateKey(request)
    await acme.keys.RevokeKey(key_service_pb2.RevokeKeyRequest(key_id=made.key.id))
    replay = event_service_pb2.ReplayDeadLettersRequest(group="g")
    assert (await refusal(acme.events.ReplayDeadLetters(replay))).code == "NOT_FOUND"
    values = [values_of(entry) for entry in await entries_of(acme)]
    assert values == [
        {"subject": "bob", "roles": ["ROLE_OPERATOR"]},
        {"key": {"id": made.key.id}},
        {"key_id": made.key.id},
        {"key": {"id": made.key.id}},
        {"group": "g"},
        {},
    ]
    assert made.text not in str(await storage.rows("gateway", "SELECT * FROM audit_entries"))
    assert not (await globex.audit.ListAuditEntries(pb.ListAuditEntriesRequest())).entries


async def test_what_was_no_decision_has_no_entry(gateway: Running, acme: AutoDevClient) -> None:
    bob = key_service_pb2.CreateKeyRequest(request_id="k", subject="bob", roles=[access_pb2.ROLE_REVIEWER])
    text = (await acme.keys.CreateKey(bob)).text
    async with AutoDevClient(gateway.public_address, text) as reviewer:
        assert (await refusal(reviewer.capability.SetMaturity(trust("ada")))).reason == "ROLE_REQUIRED"
        told = await refusal(reviewer.audit.ListAuditEntries(pb.ListAuditEntriesRequest()))
        assert told.reason == "ROLE_REQUIRED"
    assert (await refusal(acme.capability.SetMaturity(trust("no such id!")))).code == "INVALID_ARGUMENT"
    assert (await refusal(acme.keys.CreateKey(key_service_pb2.CreateKeyRequest()))).code == "INVALID_ARGUMENT"
    await acme.keys.ListKeys(key_service_pb2.ListKeysRequest())
    assert len(await entries_of(acme)) == 2


async def test_a_field_that_makes_a_call_a_decision_has_an_entry_where_it_is_set(
    storage: Storage, behind: tuple[Behind, str]
) -> None:
    def run(variant_id: str, *, approved: bool) -> fitness.EvaluateInitialProxyRequest:
        signals = fitness.ProxySignals(execution_success=True, user_approved=approved)
        signals.measurements["note"] = SECRET
        return fitness.EvaluateInitialProxyRequest(variant_id=variant_id, signals=signals)

    async with gateway_before(behind[1], storage) as gateway, gateway.client() as client:
        await client.fitness.EvaluateInitialProxy(run("v-1", approved=False))
        assert await entries_of(client) == []
        await client.fitness.EvaluateInitialProxy(run("v-2", approved=True))
        decision, outcome = await entries_when(client, 2)
        assert decision.rpc == f"{FITNESS}.EvaluateInitialProxy"
        assert values_of(decision) == {"variant_id": "v-2", "signals": {"user_approved": True}}
        assert outcome.status == "OK"
        bob = key_service_pb2.CreateKeyRequest(request_id="k", subject="bob", roles=[access_pb2.ROLE_RUNTIME])
        async with AutoDevClient(gateway.public_address, (await client.keys.CreateKey(bob)).text) as runtime:
            await runtime.fitness.EvaluateInitialProxy(run("v-3", approved=False))
            told = await refusal(runtime.fitness.EvaluateInitialProxy(run("v-4", approved=True)))
            assert (told.reason, told.metadata["role"]) == ("ROLE_REQUIRED", "reviewer")
        assert behind[0].done == ["v-1", "v-2", "v-3"]
        assert [entry.rpc.rpartition(".")[2] for entry in await entries_of(client) if entry.rpc] == [
            "EvaluateInitialProxy",
            "CreateKey",
        ]
        assert SECRET not in str(await storage.rows("gateway", "SELECT * FROM audit_entries"))


async def test_a_caller_that_goes_leaves_an_outcome(storage: Storage, behind: tuple[Behind, str]) -> None:
    async with gateway_before(behind[1], storage) as gateway, gateway.client() as client:
        gate = capability.Gate(capability="mine", required=capability.MATURITY_LEVEL_INTERN)
        call = client.capability.RegisterGate(capability.RegisterGateRequest(gate=gate))
        await until(lambda: bool(behind[0].done), "the service is asked")
        call.cancel()
        assert (await entries_when(client, 2))[1].status == "CANCELLED"


async def test_of_a_decision_that_a_gateway_died_under_it_is_said_once_that_nobody_knows(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RECOVERY_PERIOD_S", 0.05)
    monkeypatch.setattr(recorder, "UNFINISHED_AFTER_S", 0.0)
    facts = {"by": "ada", "rpc": "autodev.capability.v1.CapabilityService.SetMaturity", "values": {}}
    async with started(storage, data_dir=storage.directory / "other") as other:
        async with storage.open("gateway") as database:
            await asyncio.gather(*(AuditLog(database).decided("acme", facts, 1) for _ in range(3)))
        async with started(storage) as gateway, gateway.client() as client:
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while await storage.rows("gateway", "SELECT * FROM audit_open"):
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.02)
            entries = await entries_of(client)
            outcomes = [entry for entry in entries if entry.kind == pb.AUDIT_KIND_OUTCOME]
            assert sorted(entry.decision for entry in outcomes) == [
                entry.number for entry in entries if entry.kind == pb.AUDIT_KIND_DECISION
            ]
            assert {entry.status for entry in outcomes} == {"UNFINISHED"}
    assert other.parts is not gateway.parts


async def test_the_log_is_read_in_pages_either_way(acme: AutoDevClient) -> None:
    for number in range(3):
        await acme.keys.CreateKey(key_service_pb2.CreateKeyRequest(request_id=f"k{number}", subject="bob"))
    assert [entry.number for entry in await entries_of(acme, size=4)] == [1, 2, 3, 4, 5, 6]
    first = await acme.audit.ListAuditEntries(pb.ListAuditEntriesRequest(page_size=4))
    rest = await acme.audit.ListAuditEntries(pb.ListAuditEntriesRequest(page_token=first.next_page_token))
    assert [entry.number for entry in (*first.entries, *rest.entries)] == [6, 5, 4, 3, 2, 1]


def rolled_back(skill: str, automatic: bool = True) -> event_pb2.Event:
    payload = event_pb2.SkillRolledBack(
        skill_id=skill, skill_name="first", from_version="1.1.0", to_version="1.0.0", operator="canary", reason=SECRET,
        automatic=automatic,
    )  # fmt: skip
    return event_pb2.Event(id=uuid7(), tenant_id="acme", agent_id="ada", skill_rolled_back=payload)


async def test_what_a_service_did_by_itself_has_one_entry_however_often_its_event_comes(
    storage: Storage, gateway: Running, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    promoted = event_pb2.SkillPromoted(skill_id="s-1", version="1.1.0", subject_id="m-1", automatic=True)
    events = [
        event_pb2.Event(id=uuid7(), tenant_id="acme", agent_id="ada", skill_promoted=promoted),
        rolled_back("s-2", automatic=False),
        rolled_back("s-1"),
    ]
    request = event_service_pb2.PublishRequest(events=events)
    async with gateway.service() as channel:
        log = EventServiceStub(channel)
        await asyncio.gather(*(log.Publish(request) for _ in range(4)))
        stream = log.PublishStream(iter([event_service_pb2.PublishStreamRequest(events=events)]))
        assert [list(answer.event_ids) async for answer in stream] == [[event.id for event in events]]
    entries = await entries_of(acme)
    assert [(entry.kind, entry.subject, entry.event, entry.event_id) for entry in entries] == [
        (pb.AUDIT_KIND_ACT, "learning", "skill_promoted", events[0].id),
        (pb.AUDIT_KIND_ACT, "learning", "skill_rolled_back", events[2].id),
    ]
    assert [values_of(entry) for entry in entries] == [
        {"skill_id": "s-1", "version": "1.1.0", "subject_id": "m-1"},
        {
            "skill_id": "s-1",
            "skill_name": "first",
            "from_version": "1.1.0",
            "to_version": "1.0.0",
            "operator": "canary",
        },
    ]
    assert SECRET not in str(await storage.rows("gateway", "SELECT * FROM audit_entries"))
    assert not await entries_of(globex)
    status, out, err = await audit(gateway, "verify")
    assert (status, Head.parse(out.split()[-1]).number) == (0, 2), err
    status, out, _ = await audit(gateway, "list")
    assert "learning, by itself" in out


async def test_nobody_but_a_service_says_that_a_service_acted(acme: AutoDevClient) -> None:
    request = event_service_pb2.PublishRequest(events=[rolled_back("s-1")])
    assert (await refusal(acme.events.Publish(request))).reason == "SERVICE_EVENT"
    assert not await entries_of(acme)


@pytest.fixture
def shared(postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    with Storages(postgresql).new(tmp_path) as made:
        yield made


async def test_decisions_at_several_gateways_are_one_chain(shared: Storage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(started(shared)) for _ in range(3)]
        clients = [await stack.enter_async_context(gateway.client()) for gateway in gateways]
        requests = [key_service_pb2.CreateKeyRequest(request_id=f"k{number}", subject="bob") for number in range(30)]
        await asyncio.gather(*(clients[n % 3].keys.CreateKey(request) for n, request in enumerate(requests)))
        entries = await entries_of(clients[0])
    assert len(entries) == 60
    assert sorted(entry.decision for entry in entries if entry.decision) == sorted(
        entry.number for entry in entries if entry.kind == pb.AUDIT_KIND_DECISION
    )


async def test_an_act_that_reaches_several_gateways_has_one_entry(shared: Storage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(started(shared)) for _ in range(3)]
        channels = [await stack.enter_async_context(gateway.service()) for gateway in gateways]
        events = [rolled_back(f"s-{number}") for number in range(10)]
        requests = [event_service_pb2.PublishRequest(events=[event]) for event in events]
        logs = [EventServiceStub(channel) for channel in channels]
        await asyncio.gather(*(log.Publish(request) for log in logs for request in requests))
        entries = await entries_of(await stack.enter_async_context(gateways[0].client()))
    assert sorted(entry.event_id for entry in entries) == sorted(event.id for event in events)


async def test_an_act_that_cannot_be_recorded_is_not_announced_yet(shared: Storage) -> None:
    request = event_service_pb2.PublishRequest(events=[rolled_back("s-1")])
    async with (
        started(shared, database_lock_timeout_s=0.2) as gateway,
        gateway.client() as client,
        gateway.service() as channel,
    ):
        log = EventServiceStub(channel)
        async with shared.locked("gateway", "audit_entries"):
            assert (await refusal(log.Publish(request, timeout=PATIENCE_S))).code == "UNAVAILABLE"
        assert not await shared.events()
        await log.Publish(request)
        assert [event.id for event in await shared.events()] == [request.events[0].id]
        assert [entry.event_id for entry in await entries_of(client)] == [request.events[0].id]


async def test_what_cannot_be_recorded_is_not_done(shared: Storage, behind: tuple[Behind, str]) -> None:
    stated = {"database_lock_timeout_s": 0.2}
    async with gateway_before(behind[1], shared, **stated) as gateway, gateway.client() as client:
        async with shared.locked("gateway", "audit_entries"):
            told = await refusal(client.capability.SetMaturity(trust("ada"), timeout=PATIENCE_S))
            assert told.code == "UNAVAILABLE"
        assert behind[0].done == []
        await client.capability.SetMaturity(trust("ada"))
        assert behind[0].done == ["ada"]


async def audit(gateway: Running, *arguments: str) -> tuple[int, str, str]:
    place = ("--address", gateway.public_address, "--api-key", gateway.key("acme"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autodev_cli", "audit", *arguments, *place),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def tamper(storage: Storage, *statements: str) -> None:
    """Change the table as only who owns the database can."""
    if storage.database is None:
        with sqlite3.connect(storage.directory / "gateway.sqlite3") as file:
            for change in ("update", "delete"):
                file.execute(f"DROP TRIGGER IF EXISTS audit_entries_no_{change}")
            for statement in statements:
                file.execute(statement)
        return
    connection = await storage.database.connect(SUPERUSER)
    await connection.execute("SET search_path = gateway")
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_the_command_lists_and_verifies_and_finds_what_was_changed(
    storage: Storage, gateway: Running, acme: AutoDevClient
) -> None:
    for number in range(3):
        await acme.keys.CreateKey(key_service_pb2.CreateKeyRequest(request_id=f"k{number}", subject="bob"))
    status, out, _ = await audit(gateway, "list", "--last", "2", "-o", "json")
    listed = [json.loads(line) for line in out.splitlines()]
    assert [entry["number"] for entry in listed] == [6, 5]
    status, out, err = await audit(gateway, "verify")
    assert status == 0, err
    head = out.split()[-1]
    assert Head.parse(head).number == 6

    await tamper(storage, "DELETE FROM audit_entries WHERE number > 4")
    status, out, _ = await audit(gateway, "verify")
    assert status == 0, "an end that is missing shows only by a head that was kept"
    status, _, err = await audit(gateway, "verify", "--expect-head", head)
    assert status == 1
    assert "entry 5: it is missing" in err

    await tamper(
        storage, "UPDATE audit_entries SET hash = (SELECT hash FROM audit_entries WHERE number = 1) WHERE number = 3"
    )
    status, _, err = await audit(gateway, "verify")
    assert status == 1
    assert "the audit log was changed: entry 3" in err


async def test_another_workspaces_whole_chain_is_told_by_the_workspace_that_is_stated(
    storage: Storage, gateway: Running, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    for client in (acme, globex):
        await client.keys.CreateKey(key_service_pb2.CreateKeyRequest(request_id="k", subject="bob"))
    status, out, err = await audit(gateway, "verify", "--tenant", "acme", "-o", "json")
    assert (status, json.loads(out)["tenant"]) == (0, "acme"), err
    swap = (("acme", "x"), ("globex", "acme"), ("x", "globex"))
    await tamper(storage, *(f"UPDATE audit_entries SET tenant_id = '{to}' WHERE tenant_id = '{of}'" for of, to in swap))
    status, _, err = await audit(gateway, "verify", "--tenant", "acme")
    assert (status, "entry 1: it is of another tenant" in err) == (1, True), err
    # Whose key it is the command cannot know: it says whose chain it saw.
    _, out, _ = await audit(gateway, "verify")
    assert "2 entries of globex" in out


async def test_sqlite_itself_refuses_to_change_or_delete_an_entry(acme: AutoDevClient, storage: Storage) -> None:
    await acme.keys.CreateKey(key_service_pb2.CreateKeyRequest(request_id="k", subject="bob"))
    if storage.database is not None:
        return  # PostgreSQL's roles are tested in tests/integration/database/test_row_security.py
    written = await storage.rows("gateway", "SELECT * FROM audit_entries")
    with sqlite3.connect(storage.directory / "gateway.sqlite3") as file:
        file.execute("INSERT INTO audit_acts (tenant_id, event_id) VALUES ('acme', 'e')")
    for change in (
        "UPDATE audit_entries SET hash = ''",
        "DELETE FROM audit_entries",
        "REPLACE INTO audit_entries SELECT tenant_id, number, entry, '' FROM audit_entries",
        "UPDATE audit_acts SET event_id = ''",
        "DELETE FROM audit_acts",
    ):
        with (
            sqlite3.connect(storage.directory / "gateway.sqlite3") as file,
            pytest.raises(sqlite3.IntegrityError, match="append-only"),
        ):
            file.execute(change)
        assert await storage.rows("gateway", "SELECT * FROM audit_entries") == written

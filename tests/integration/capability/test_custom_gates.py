"""Gates of the user's own: they hold in every workspace, and their checks can only refuse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_capability.custom import CustomGate, CustomGates, remote_gates
from autodev_capability.gates import Gate
from autodev_capability.maturity import Maturity
from autodev_runtime.extensions.remote import extensions_of
from autodev_runtime.extensions.settings import ExtensionSettings
from autodev_runtime.identity import Role
from autodev_sdk.extensions import GateAnswer, GateQuestion
from autodev_sdk.extensions import Maturity as Level
from tests.clock import Clock
from tests.integration.capability.parts import replica, settings_on
from tests.serving import acting, refusal, serving
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub

DEPLOY, MEMENTO = "acme.deploy", "auto_dev.memento_skills"
BROKEN, HANGING, UNREACHABLE = "acme.broken", "acme.hanging", "acme.unreachable"


class Asked:
    """A check that answers as the test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = GateAnswer(True)
        self.questions: list[GateQuestion] = []

    def __call__(self, question: GateQuestion) -> GateAnswer:
        self.questions.append(question)
        return self.answer


def raises(question: GateQuestion) -> GateAnswer:
    raise RuntimeError("as the test says")


async def hangs(question: GateQuestion) -> GateAnswer:
    await asyncio.Event().wait()
    return GateAnswer(True)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest_asyncio.fixture
async def operator(storage: Storage, clock: Clock, asked: Asked) -> AsyncIterator["CapabilityServiceAsyncStub"]:
    """The service with gates of the user's own, and a workspace with Auto-Dev on."""
    gates = [
        CustomGate(Gate(DEPLOY, Maturity.SUPERVISED, limit_per_agent_per_day=1), asked),
        CustomGate(Gate(MEMENTO, Maturity.STUDENT), asked),
        CustomGate(Gate(BROKEN, Maturity.STUDENT), raises),
        CustomGate(Gate(HANGING, Maturity.STUDENT), hangs),
    ]
    nobody = ExtensionSettings(extensions={UNREACHABLE: "127.0.0.1:1"})
    async with (
        extensions_of(nobody) as extensions,
        replica(
            storage,
            clock,
            CustomGates([*gates, *remote_gates(extensions, {UNREACHABLE: Maturity.STUDENT})], seconds=0.1),
        ) as parts,
        serving([parts.served]) as channel,
    ):
        stub = CapabilityServiceStub(acting(channel, "acme", Role.OPERATOR))
        await stub.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on()))
        yield stub


async def raise_to(operator: "CapabilityServiceAsyncStub", level: "pb.MaturityLevel.ValueType") -> None:
    await operator.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=level))


async def check(operator: "CapabilityServiceAsyncStub", capability: str = DEPLOY) -> pb.CheckCapabilityResponse:
    return await operator.CheckCapability(pb.CheckCapabilityRequest(agent_id="ada", capability=capability))


def reserve(
    operator: "CapabilityServiceAsyncStub", request_id: str, capability: str = DEPLOY
) -> Awaitable[pb.ReserveUsageResponse]:
    return operator.ReserveUsage(pb.ReserveUsageRequest(request_id=request_id, agent_id="ada", capability=capability))


async def test_the_maturity_comes_first_and_the_check_is_not_asked(
    operator: "CapabilityServiceAsyncStub", asked: Asked
) -> None:
    answer = await check(operator)
    assert (answer.allowed, answer.reason) == (False, pb.DENIAL_REASON_MATURITY)
    assert asked.questions == []


async def test_the_check_can_refuse_and_says_why(operator: "CapabilityServiceAsyncStub", asked: Asked) -> None:
    await raise_to(operator, pb.MATURITY_LEVEL_SUPERVISED)
    assert (await check(operator)).allowed
    asked.answer = GateAnswer(False, "the freeze is on")
    answer = await check(operator)
    assert (answer.allowed, answer.reason, answer.check_away) == (False, pb.DENIAL_REASON_CHECK, False)
    assert answer.message == "acme.deploy: the freeze is on"
    question = asked.questions[-1]
    assert (question.tenant_id, question.agent_id, question.required.name, question.current.name) == (
        "acme",
        "ada",
        "SUPERVISED",
        "SUPERVISED",
    )
    assert (await refusal(reserve(operator, "r1"))).reason == "GATE_REFUSED"
    asked.answer = GateAnswer(True)
    assert (await reserve(operator, "r1")).limit == 1
    assert (await refusal(reserve(operator, "r2"))).reason == "QUOTA_EXCEEDED"


async def test_a_reservation_asks_what_a_check_asks(operator: "CapabilityServiceAsyncStub", asked: Asked) -> None:
    await raise_to(operator, pb.MATURITY_LEVEL_AUTONOMOUS)
    await check(operator)
    await reserve(operator, "r")
    assert asked.questions == [GateQuestion("acme", "ada", DEPLOY, Level.SUPERVISED, Level.AUTONOMOUS)] * 2


async def test_a_check_cannot_allow_what_the_maturity_refuses(operator: "CapabilityServiceAsyncStub") -> None:
    assert (await refusal(reserve(operator, "r"))).reason == "MATURITY_TOO_LOW"


async def test_a_check_on_a_built_in_capability_adds_to_its_rules(
    operator: "CapabilityServiceAsyncStub", asked: Asked
) -> None:
    answer = await check(operator, MEMENTO)
    assert (answer.required, answer.reason) == (pb.MATURITY_LEVEL_INTERN, pb.DENIAL_REASON_MATURITY)
    await raise_to(operator, pb.MATURITY_LEVEL_INTERN)
    asked.answer = GateAnswer(False, "not today")
    assert (await check(operator, MEMENTO)).reason == pb.DENIAL_REASON_CHECK
    assert (await refusal(reserve(operator, "r", MEMENTO))).reason == "GATE_REFUSED"


@pytest.mark.parametrize(
    ("capability", "code", "reason"),
    [
        (BROKEN, "PERMISSION_DENIED", "GATE_REFUSED"),
        (HANGING, "UNAVAILABLE", "GATE_AWAY"),
        (UNREACHABLE, "UNAVAILABLE", "GATE_AWAY"),
    ],
)
async def test_a_check_that_cannot_be_asked_allows_nothing_and_says_whether_it_may_be_later(
    operator: "CapabilityServiceAsyncStub", capability: str, code: str, reason: str
) -> None:
    answer = await check(operator, capability)
    assert (answer.allowed, answer.reason) == (False, pb.DENIAL_REASON_CHECK)
    assert answer.check_away is (reason == "GATE_AWAY")
    assert "cannot be asked" in answer.message
    refused = await refusal(reserve(operator, "r", capability))
    assert (refused.code, refused.reason) == (code, reason)


async def test_an_answer_that_is_no_answer_is_a_no(operator: "CapabilityServiceAsyncStub", asked: Asked) -> None:
    await raise_to(operator, pb.MATURITY_LEVEL_SUPERVISED)
    asked.answer = True  # type: ignore[assignment]
    assert not (await check(operator)).allowed
    asked.answer = GateAnswer("yes")  # type: ignore[arg-type]
    assert not (await check(operator)).allowed


async def test_an_extensions_gate_is_listed_and_no_workspace_changes_it(operator: "CapabilityServiceAsyncStub") -> None:
    gates = (await operator.ListGates(pb.ListGatesRequest())).gates
    assert [each.capability for each in gates if not each.built_in] == [BROKEN, DEPLOY, HANGING, UNREACHABLE]
    first = await operator.ListGates(pb.ListGatesRequest(page_size=4))
    rest = await operator.ListGates(pb.ListGatesRequest(page_size=4, page_token=first.next_page_token))
    assert [*first.gates, *rest.gates] == list(gates)
    changed = pb.Gate(capability=DEPLOY, required=pb.MATURITY_LEVEL_STUDENT)
    assert (await refusal(operator.RegisterGate(pb.RegisterGateRequest(gate=changed)))).reason == "INSTALLED_GATE"

"""Gates of the user's own: what they need, and their checks, in Python or as gRPC services.

A check is asked last and can only refuse. One that fails or answers badly is a no; one that is away allows nothing
meanwhile.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from autodev.capability.v1 import capability_service_pb2
from autodev.extension.v1 import capability_gate_service_pb2 as pb
from autodev.extension.v1.capability_gate_service_pb2_grpc import CapabilityGateServiceStub
from autodev_capability.gates import Denial, Gate, built_in_gate
from autodev_capability.maturity import Maturity
from autodev_runtime.errors import AutoDevError, ResourceExhausted, Unavailable
from autodev_runtime.extensions.remote import Extension
from autodev_sdk.extensions import CapabilityGate, GateAnswer, GateQuestion, Group, installed
from autodev_sdk.extensions import Maturity as Level

log = logging.getLogger(__name__)

MOST_REASON_CHARACTERS = 1024
CANNOT_BE_ASKED = "its check cannot be asked at the moment, so the answer is no"
TOO_SLOW = "DEADLINE_EXCEEDED"
"""The status of an extension that did not answer in time."""

Check = Callable[[GateQuestion], GateAnswer | Awaitable[GateAnswer]]


@dataclass(frozen=True, slots=True)
class CustomGate:
    """A gate and its check."""

    gate: Gate
    check: Check


class Refusal(NamedTuple):
    """Why a check does not say yes."""

    denial: Denial
    message: str


class CustomGates:
    """The user's own gates by capability; they hold in every workspace.

    One under a built-in capability's name adds its check to the built-in rules. `seconds` bounds a check.
    """

    def __init__(self, gates: Iterable[CustomGate] = (), seconds: float = 5.0) -> None:
        self._gates: dict[str, CustomGate] = {}
        self._seconds = seconds
        for each in gates:
            if each.gate.capability in self._gates:
                raise ValueError(f"two gates are for {each.gate.capability!r}")
            self._gates[each.gate.capability] = each

    def gates(self) -> dict[str, Gate]:
        """The gates that are no built-in ones, by capability."""
        return {name: each.gate for name, each in self._gates.items() if built_in_gate(name) is None}

    def has(self, capability: str) -> bool:
        """Whether a check must be asked."""
        return capability in self._gates

    async def refusal(
        self, tenant: str, agent_id: str, capability: str, required: Maturity, current: Maturity
    ) -> Refusal | None:
        """Why the check does not say yes; None where it does, or there is none."""
        custom = self._gates.get(capability)
        if custom is None:
            return None
        question = GateQuestion(tenant, agent_id, capability, Level(required), Level(current))
        try:
            async with asyncio.timeout(self._seconds):
                answer = await _asked(custom.check, question)
        except AutoDevError as error:
            log.warning("the gate of %s: %s", capability, error.message)
            denial = Denial.CHECK_AWAY if _is_away(error) else Denial.CHECK
            return Refusal(denial, f"{capability}: {CANNOT_BE_ASKED}")
        except TimeoutError:
            log.warning("the gate of %s did not answer in time", capability)
            return Refusal(Denial.CHECK_AWAY, f"{capability}: {CANNOT_BE_ASKED}")
        except Exception:
            # A user's check may raise anything.
            log.exception("the gate of %s failed", capability)
            return Refusal(Denial.CHECK, f"{capability}: {CANNOT_BE_ASKED}")
        if answer.allowed is True:
            return None
        said = f"{capability}: {answer.reason or 'its check says no'}"
        return Refusal(Denial.CHECK, said[:MOST_REASON_CHARACTERS])


def _is_away(error: AutoDevError) -> bool:
    """Whether it may well answer later; others failed, or answered badly."""
    return isinstance(error, Unavailable | ResourceExhausted) or error.metadata.get("code") == TOO_SLOW


async def _asked(check: Check, question: GateQuestion) -> GateAnswer:
    answer = check(question)
    answer = await answer if inspect.isawaitable(answer) else answer
    if not isinstance(answer, GateAnswer):
        raise TypeError(f"a check answered a {type(answer).__name__} and no GateAnswer")
    return answer


def installed_gates() -> list[CustomGate]:
    """The gates of installed distributions. One that is broken still stands, and says no to everybody."""
    found = installed(Group.CAPABILITY_GATES, CapabilityGate)
    gates = [_refusing(each.name, each.reason) for each in found.broken]
    for name, stated in found.working.items():
        if stated.capability != name:
            log.error("the gate %r is for %r: its entry point must be called the same", name, stated.capability)
            gates.append(_refusing(name, f"it is for {stated.capability!r}"))
            continue
        gate = Gate(name, Maturity(stated.required), stated.limit_per_agent_per_day)
        gates.append(CustomGate(gate, stated.check))
    return gates


def remote_gates(extensions: Mapping[str, Extension], levels: Mapping[str, Maturity]) -> list[CustomGate]:
    """The gates whose checks are gRPC services. `levels` says what each needs."""
    return [
        CustomGate(Gate(name, levels[name]), _remote_check(extension, name)) for name, extension in extensions.items()
    ]


def _refusing(capability: str, why: str) -> CustomGate:
    message = f"the gate cannot be used: {why}"
    return CustomGate(Gate(capability, Maturity.AUTONOMOUS), lambda question: GateAnswer(False, message))


def _remote_check(extension: Extension, capability: str) -> Check:
    stub = CapabilityGateServiceStub(extension.channel)

    async def check(question: GateQuestion) -> GateAnswer:
        request = pb.CheckGateRequest(
            tenant_id=question.tenant_id,
            agent_id=question.agent_id,
            capability=capability,
            required=_number(question.required),
            current=_number(question.current),
        )
        answer = cast(pb.CheckGateResponse, await extension.ask(stub.CheckGate, request))
        return GateAnswer(answer.allowed, answer.reason)

    return check


def _number(level: Level) -> "capability_service_pb2.MaturityLevel.ValueType":
    return capability_service_pb2.MaturityLevel.ValueType(level)

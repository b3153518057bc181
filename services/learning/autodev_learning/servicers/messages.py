"""Messages that several services share."""

from collections.abc import Iterable
from datetime import datetime

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import memento_service_pb2 as pb
from autodev_learning.examples import Example
from autodev_learning.memento.candidates import ExampleResult
from autodev_learning.memento.reflection import ToolCall
from autodev_learning.proof.agreement import GeneratedCheck, Overfit
from autodev_learning.proof.domains import Kind
from autodev_learning.skills.provenance import Provenance
from autodev_runtime.paging import key_from

OVERFIT = {
    Overfit.NONE: pb.OVERFIT_MARK_UNSPECIFIED,
    Overfit.SUSPECTED: pb.OVERFIT_MARK_SUSPECTED,
    Overfit.FOUND: pb.OVERFIT_MARK_FOUND,
}
KINDS = {kind: pb.GeneratedKind.Value(f"GENERATED_KIND_{kind.name}") for kind in Kind}


def moment_to_proto(moment: datetime | None) -> Timestamp | None:
    """A time, unset where there is none."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def key_of(page_token: str) -> str | None:
    """The text that a page token holds. Raises InvalidArgument."""
    key = key_from(page_token, str)
    return str(key[0]) if key is not None else None


def examples_to_proto(examples: Iterable[Example]) -> list[event_pb2.Example]:
    """Examples of a task."""
    return [event_pb2.Example(call=example.call, expected=example.expected) for example in examples]


def tool_call_to_proto(call: ToolCall) -> event_pb2.ToolCall:
    """A tool call."""
    arguments = json_format.ParseDict(dict(call.arguments), Struct())
    return event_pb2.ToolCall(name=call.name, arguments=arguments, error=call.error)


def provenance_to_proto(provenance: Provenance) -> pb.Provenance:
    """Where code came from."""
    return pb.Provenance(
        proposer=provenance.proposer,
        steps=provenance.steps,
        prompt_hash=provenance.prompt_hash,
        tokens=provenance.tokens,
        cost_usd=provenance.cost_usd,
        seconds=provenance.seconds,
        programs_tried=provenance.programs_tried,
    )


def example_result_to_proto(result: ExampleResult) -> pb.ExampleResult:
    """How one example went."""
    return pb.ExampleResult(
        call=result.call,
        expected=result.expected,
        actual=result.actual,
        error=result.error,
        passed=result.passed,
        held_out=result.held_out,
    )


def generated_to_proto(check: GeneratedCheck | None) -> pb.GeneratedCheck | None:
    """How code did on generated inputs, unset where none were made."""
    if check is None:
        return None
    return pb.GeneratedCheck(
        inputs=check.inputs,
        compared=check.compared,
        agreed=check.agreed,
        failed=check.failed,
        reference=check.reference,
        seed=check.seed,
        differing=[
            pb.GeneratedInput(call=each.call, kind=KINDS[each.kind], expected=each.expected, actual=each.actual)
            for each in check.differing
        ],
        not_made=check.not_made,
    )

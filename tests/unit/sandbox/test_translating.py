import pytest

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox.ceiling import Ceiling
from autodev_sandbox.execution import CallOutcome, IsolationLevel, Limits, Outcome, Status
from autodev_sandbox.translating import response_from, result_from

CEILING = Ceiling(Limits(), batch_inputs=10, message_bytes=10_000)
LARGE_VALUE = Outcome(Status.OK, IsolationLevel.NAMESPACE, value=[1] * 1000, stdout="said")
LARGE_OUTPUT = Outcome(Status.OK, IsolationLevel.NAMESPACE, value=1, stdout="\ufffd" * 4000)


@pytest.mark.parametrize(("outcome", "printed"), [(LARGE_VALUE, "said"), (LARGE_OUTPUT, "")])
def test_an_answer_that_fits_into_no_message_is_over_the_limit_and_fits(outcome: Outcome, printed: str) -> None:
    response = response_from(outcome, 0.5, CEILING.answer_bytes)
    assert response.status == pb.EXECUTION_STATUS_OUTPUT_LIMIT
    assert (response.stdout, response.HasField("result")) == (printed, False)
    finished = pb.ExecuteStreamResponse(finished=response)
    assert finished.ByteSize() <= CEILING.message_bytes


def test_a_calls_times_count_with_its_answer() -> None:
    outcome = Outcome(Status.OK, IsolationLevel.NAMESPACE, stdout="x" * 9_000)
    message = pb.ExecuteBatchResponse(results=[result_from(CallOutcome(9_999, outcome, (0.5,) * 900, True), CEILING)])
    assert message.results[0].outcome.status == pb.EXECUTION_STATUS_OUTPUT_LIMIT
    assert message.ByteSize() <= CEILING.message_bytes

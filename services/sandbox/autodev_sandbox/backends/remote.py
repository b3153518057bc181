"""A sandbox of the user's own that is a gRPC service."""

from typing import Final

from autodev.extension.v1 import sandbox_backend_service_pb2 as pb
from autodev.extension.v1.sandbox_backend_service_pb2_grpc import SandboxBackendServiceStub
from autodev_runtime.errors import AutoDevError
from autodev_runtime.extensions.remote import ANSWER_TOO_LARGE, NOT_ASKED, QUESTION_TOO_LARGE, Extension
from autodev_runtime.structs import fill_struct, value_from
from autodev_sandbox.execution import BackendUnavailable
from autodev_sdk.extensions import RawExecution, RawResult, RawStatus

# By contract. gRPC says this by itself at neither end, so nothing else can be taken for it.
NOTHING_RAN: Final = "FAILED_PRECONDITION"


class RemoteSandbox:
    """Asks the extension. Raises BackendUnavailable where nothing ran, and else what `Extension.ask` raises."""

    def __init__(self, extension: Extension) -> None:
        self._extension = extension
        self._stub = SandboxBackendServiceStub(extension.channel)

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        request = pb.ExecuteRawPythonRequest(
            code=execution.code,
            entry_point=execution.entry_point,
            memory_bytes=execution.memory_bytes,
            cpus=execution.cpus,
            output_bytes=execution.output_bytes,
            processes=execution.processes,
            input_files=[pb.RawFile(path=path, content=data) for path, data in execution.input_files.items()],
            output_files=execution.output_files,
        )
        request.inputs.SetInParent()
        fill_struct(request.inputs, execution.inputs)
        request.timeout.FromNanoseconds(int(execution.timeout_s * 1e9))
        answer: pb.ExecuteRawPythonResponse
        try:
            answer = await self._extension.ask(self._stub.ExecuteRawPython, request, more_s=execution.timeout_s)
        except AutoDevError as error:
            return self._without_answer(error)
        raised = answer.error_type, answer.error_message, answer.error_traceback
        return RawResult(
            status=RawStatus(answer.status),
            value=value_from(answer.result),
            error=raised if answer.error_type else None,
            stdout=answer.stdout,
            stderr=answer.stderr,
            exit_code=answer.exit_code,
            duration_s=answer.duration.ToTimedelta().total_seconds(),
            peak_memory_bytes=answer.peak_memory_bytes,
            files={file.path: file.content for file in answer.output_files},
        )

    def _without_answer(self, error: AutoDevError) -> RawResult:
        """What is the doing of the execution itself, and no failure of the extension. Raises as the class says."""
        if error.reason == ANSWER_TOO_LARGE:
            return RawResult(RawStatus.OUTPUT_LIMIT)
        if error.reason == QUESTION_TOO_LARGE:
            return RawResult(RawStatus.KILLED, stderr=error.message.encode())
        if error.reason in NOT_ASKED:
            raise BackendUnavailable(error.message)
        if error.metadata.get("code") == NOTHING_RAN:
            raise BackendUnavailable(f"the extension {self._extension.name!r} runs nothing now: {NOTHING_RAN}")
        raise error

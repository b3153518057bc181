"""A sandbox of the user's own that is a gRPC service."""

from autodev.extension.v1 import sandbox_backend_service_pb2 as pb
from autodev.extension.v1.sandbox_backend_service_pb2_grpc import SandboxBackendServiceStub
from autodev_runtime.extensions.remote import Extension
from autodev_runtime.structs import fill_struct, value_from
from autodev_sdk.extensions import RawExecution, RawResult, RawStatus


class RemoteSandbox:
    """Asks the extension. Raises what `Extension.ask` raises."""

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
        answer: pb.ExecuteRawPythonResponse = await self._extension.ask(
            self._stub.ExecuteRawPython, request, more_s=execution.timeout_s
        )
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

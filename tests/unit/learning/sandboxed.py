"""Executions in the sandbox's own namespace backend, without the service around it."""

from collections.abc import Mapping, Sequence
from typing import cast

from autodev_learning.trial import Execute, ExecuteEach, Execution
from autodev_runtime.json_value import JsonValue
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.execution import Execution as SandboxExecution
from autodev_sandbox.execution import Limits, Status
from autodev_sandbox.rootfs import default_cache
from autodev_sandbox.running import run_on


async def namespace_execute() -> Execute:
    """Give an `Execute`. Raises BackendUnavailable where the machine has no namespaces or no bubblewrap."""
    return executing(await namespace_backend())


async def namespace_backend() -> NamespaceBackend:
    """Give the backend, ready. Raises BackendUnavailable where the machine has no namespaces or no bubblewrap."""
    backend = NamespaceBackend(default_cache())
    await backend.probe()
    return backend


def executing(backend: NamespaceBackend) -> Execute:
    """Give an `Execute` by a backend that is ready."""

    async def execute(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        asked = SandboxExecution(
            code, entry_point, cast(Mapping[str, JsonValue], inputs), limits=Limits(timeout_s=timeout_s)
        )
        outcome = await run_on(backend, asked)
        error = f"{outcome.error.type}: {outcome.error.message}" if outcome.error else ""
        return Execution(outcome.status is Status.OK, outcome.value, f"{outcome.status.name} {error}".strip())

    return execute


def each_by(execute: Execute) -> ExecuteEach:
    """Execute many inputs one after the other, by what executes one."""

    async def execute_each(
        code: str, entry_point: str, inputs: Sequence[Mapping[str, object]], timeout_s: float
    ) -> list[Execution]:
        return [await execute(code, entry_point, each, timeout_s) for each in inputs]

    return execute_each

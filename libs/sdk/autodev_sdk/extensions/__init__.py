"""Extension points: what a program of yours may add to the services, found by entry point (docs/extensions.md).

    [project.entry-points."autodev.learning_engines"]
    "acme.fixer" = "acme_autodev:Fixer"

| group | what the entry point names |
|---|---|
| `autodev.learning_engines` | a subclass of `BaseLearningEngine`, or one made |
| `autodev.fitness_functions` | a `FitnessFunction` |
| `autodev.sandboxes` | a class or object that is a `SandboxProtocol` |
| `autodev.capability_gates` | a `CapabilityGate` |
| `autodev.event_handlers` | an `EventBus` with its handlers |

The same five in any language are the gRPC services of `autodev.extension.v1`.
"""

from autodev_sdk.events import EventBus
from autodev_sdk.extensions.engines import (
    Attempt,
    BaseLearningEngine,
    CodeChange,
    FailedProgram,
    LearningProblem,
    Validity,
    VisibleExample,
)
from autodev_sdk.extensions.fitness import FitnessFunction, RunSignals
from autodev_sdk.extensions.gates import CapabilityGate, GateAnswer, GateQuestion, Maturity
from autodev_sdk.extensions.handlers import NoHandlers, run_handlers
from autodev_sdk.extensions.installed import Broken, Group, Installed, installed
from autodev_sdk.extensions.sandboxes import RawExecution, RawResult, RawStatus, SandboxProtocol

__all__ = [
    "Attempt",
    "BaseLearningEngine",
    "Broken",
    "CapabilityGate",
    "CodeChange",
    "EventBus",
    "FailedProgram",
    "FitnessFunction",
    "GateAnswer",
    "GateQuestion",
    "Group",
    "Installed",
    "LearningProblem",
    "Maturity",
    "NoHandlers",
    "RawExecution",
    "RawResult",
    "RawStatus",
    "RunSignals",
    "SandboxProtocol",
    "Validity",
    "VisibleExample",
    "installed",
    "run_handlers",
]

"""A capability that needs a SUPERVISED agent, and that nobody has while a freeze is on."""

import os
from pathlib import Path

from autodev_sdk.extensions import CapabilityGate, GateAnswer, GateQuestion, Maturity

FREEZE_FILE = "EXAMPLE_FREEZE_FILE"


def no_freeze(question: GateQuestion) -> GateAnswer:
    """No while the file is there that the environment names."""
    if Path(os.environ[FREEZE_FILE]).exists():
        return GateAnswer(False, f"a freeze is on, {question.agent_id} may not deploy")
    return GateAnswer(True)


DEPLOY = CapabilityGate("example.deploy", Maturity.SUPERVISED, no_freeze)

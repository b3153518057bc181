"""The most that a request may ask for."""

from dataclasses import dataclass
from typing import Final

from autodev_sandbox.execution import Limits

# Of a message that holds an answer and says little else.
WRAPPING_BYTES: Final = 64


@dataclass(frozen=True)
class Ceiling:
    """What the operator allows. `limits.file_bytes` bounds the files of each direction; `message_bytes` an answer."""

    limits: Limits
    batch_inputs: int
    message_bytes: int

    @property
    def answer_bytes(self) -> int:
        """The most that an execution's answer may have of a message."""
        return self.message_bytes - WRAPPING_BYTES

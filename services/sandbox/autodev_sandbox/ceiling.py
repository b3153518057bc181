"""The most that a request may ask for."""

from dataclasses import dataclass

from autodev_sandbox.execution import Limits


@dataclass(frozen=True)
class Ceiling:
    """What the operator allows. `limits.file_bytes` bounds the files of each direction; `message_bytes` an answer."""

    limits: Limits
    batch_inputs: int
    message_bytes: int

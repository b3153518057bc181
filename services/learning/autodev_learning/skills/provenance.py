"""Where code came from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """Who wrote code, and at what cost. `steps` says what was done, a line each; `seconds` is wall time."""

    proposer: str = ""
    steps: tuple[str, ...] = ()
    prompt_hash: str = ""
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    programs_tried: int = 0

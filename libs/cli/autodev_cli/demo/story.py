"""Telling the demonstration, line by line, in the time since it began."""

import time
from collections.abc import Sequence

from rich.text import Text

from autodev.gateway.v1 import event_pb2
from autodev_cli.narration import kind_of, tell
from autodev_cli.output import console, print_code

_STYLES = {
    "failure": "red",
    "pattern": "yellow",
    "candidate": "cyan",
    "validated": "cyan",
    "mutation": "cyan",
    "compared": "cyan",
    "review": "magenta",
    "decided": "magenta",
    "promoted": "green",
    "runs": "green",
}
_WORDS = {
    "task_failed": "failure",
    "task_succeeded": "success",
    "failure_pattern_detected": "pattern",
    "candidate_generated": "candidate",
    "candidate_validated": "validated",
    "review_requested": "review",
    "review_decided": "decided",
    "skill_promoted": "promoted",
    "skill_executed": "run",
    "optimization_triggered": "to improve",
    "mutation_generated": "mutation",
    "mutation_executed": "sandbox",
    "variant_scored": "score",
    "variants_compared": "compared",
}


class Story:
    """Prints what happens; says nothing where a machine reads. `begins` is when the clock starts."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._begins = time.monotonic()

    def heading(self, text: str) -> None:
        """What comes next."""
        if not self._silent:
            console().print()
            console().print(Text(text, style="bold"))

    def note(self, text: str) -> None:
        """An aside."""
        if not self._silent:
            console().print(Text(f"        {text}", style="dim"))

    def step(self, word: str, who: str, text: str) -> None:
        """One thing that happened to someone."""
        if self._silent:
            return
        line = Text(f"{time.monotonic() - self._begins:6.1f}s ", style="dim")
        line.append(f"{word:11}", style=_STYLES.get(word, "default"))
        line.append(f"{who:24} ", style="bold not dim")
        line.append(text, style="not dim")
        console().print(line)

    def event(self, event: event_pb2.Event) -> None:
        """One thing that happened, as its event tells."""
        self.step(_WORDS.get(kind_of(event), kind_of(event)), event.agent_id, tell(event))

    def code(self, code: str, language: str = "python") -> None:
        """Code, or a diff."""
        if not self._silent:
            print_code(code, language)

    def evidence(self, lines: Sequence[str]) -> None:
        """What speaks for something."""
        for line in lines:
            self.note(f"• {line}")

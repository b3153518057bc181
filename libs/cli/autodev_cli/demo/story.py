"""Telling the demonstration, line by line, in the time since it began."""

import time
from collections.abc import Sequence

from autodev.gateway.v1 import event_pb2
from autodev_cli.narration import kind_of, tell
from autodev_cli.output import pieces, print_code, say, say_text

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
            say()
            say(text, style="bold")

    def note(self, text: str) -> None:
        """An aside."""
        if not self._silent:
            say(f"        {text}", style="dim")

    def step(self, word: str, who: str, text: str) -> None:
        """One thing that happened to someone."""
        if self._silent:
            return
        line = pieces(
            (f"{time.monotonic() - self._begins:6.1f}s ", "dim"),
            (f"{word:11}", _STYLES.get(word, "default")),
            (f"{who:24} ", "bold"),
            (text, ""),
        )
        say_text(line)

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

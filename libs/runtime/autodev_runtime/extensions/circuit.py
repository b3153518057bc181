"""When to stop asking somebody who does not answer, and when to try again."""

from enum import Enum


class Circuit:
    """Opens after so many failures in a row, rests, then lets one question try. Callers say the time."""

    def __init__(self, failures: int, rest_s: float) -> None:
        self._failures = failures
        self._rest_s = rest_s
        self._in_a_row = 0
        self._until_s = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the last word is that it fails."""
        return self._in_a_row >= self._failures

    def admit(self, now_s: float) -> "Admission":
        """Whether to ask now. Who is admitted as a TRIAL must say how it ended."""
        if not self.is_open:
            return Admission.ASK
        if self._trying or now_s < self._until_s:
            return Admission.REFUSE
        self._trying = True
        return Admission.TRIAL

    def succeeded(self) -> None:
        """It answered."""
        self._in_a_row, self._trying = 0, False

    def failed(self, now_s: float) -> None:
        """It did not, or badly."""
        self._in_a_row += 1
        self._trying = False
        if self.is_open:
            self._until_s = now_s + self._rest_s

    def abandoned(self) -> None:
        """The one who asked went away before there was an answer."""
        self._trying = False


class Admission(Enum):
    """What a circuit says to a question."""

    ASK = "ask"
    TRIAL = "trial"
    REFUSE = "refuse"

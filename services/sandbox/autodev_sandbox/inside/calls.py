"""Many calls of one function in one interpreter, each handed over only after the one before has answered."""

from __future__ import annotations

import time

from .host import ANSWERED, CALL, TIMEOUT, UNLOADED, Host
from .interpreter import Interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Request

FLUSH_AFTER_S = 0.002


def make_calls(host: Host, running: Interpreter, request: Request) -> None:
    """Call it with each input in turn and report each; ends early with the input that ended the interpreter."""
    Caller(host, running, request).run()


class Caller:
    """The calls of one request."""

    def __init__(self, host: Host, running: Interpreter, request: Request) -> None:
        self.host = host
        self.request = request
        self.running = running
        self.flushed_s = time.monotonic()

    def run(self) -> None:
        running = self.running
        running.begin(self.request)
        ending = running.watch(running.started_s + self.request["timeout_s"], running.answered)
        if ending != ANSWERED or running.message:
            if ending == ANSWERED:
                # It told why it cannot be called, and exits.
                ending = running.watch(running.started_s + self.request["timeout_s"])
            self.host.add(UNLOADED, self.last_report(ending, time.monotonic() - running.started_s))
            return
        for index in range(self.request["calls"]):
            if not self.call_with(index, self.next_inputs()):
                return
        running.end_everything()

    def next_inputs(self) -> bytes:
        while (inputs := self.host.next_piece()) is None:
            self.host.receive()
        return inputs

    def call_with(self, index: int, inputs: bytes) -> bool:
        """Make an input's calls and report them; False when the interpreter is no more."""
        running, times_ns, first = self.running, [], None
        varied = False
        warmup = self.request["warmup"]
        for number in range(warmup + self.request["repeat"]):
            running.forget_output()
            started_ns = time.monotonic_ns()
            running.feed(inputs)
            ending = self.watch(started_ns / 1e9 + self.request["timeout_s"])
            took_ns = time.monotonic_ns() - started_ns
            if number >= warmup:
                times_ns.append(took_ns)
            if ending == ANSWERED:
                ending = running.settle(ending)
            if ending != ANSWERED:
                self.add(index, times_ns, varied, self.last_report(ending, took_ns / 1e9))
                return False
            first = running.message if first is None else first
            varied = varied or running.message != first
        self.add(index, times_ns, varied, running.report(ANSWERED, took_ns / 1e9))
        return True

    def watch(self, deadline_s: float) -> int:
        """Wait for the answer, and use a wait of some length to tell the host what is there."""
        if self.host.unsent:
            ending = self.running.watch(min(deadline_s, self.flushed_s + FLUSH_AFTER_S), self.running.answered)
            if ending != TIMEOUT:
                return ending
            self.host.flush()
            self.flushed_s = time.monotonic()
        return self.running.watch(deadline_s, self.running.answered)

    def last_report(self, ending: int, duration_s: float) -> bytes:
        return self.running.report(self.running.finish(ending), duration_s)

    def add(self, index: int, times_ns: list[int], varied: bool, report: bytes) -> None:
        head = index.to_bytes(4, "big") + len(times_ns).to_bytes(4, "big") + bytes([varied])
        self.host.add(CALL, head + b"".join([ns.to_bytes(8, "big") for ns in times_ns]) + report)

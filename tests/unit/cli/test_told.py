"""What signals do to a command's work."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autodev_cli.errors import Told
from autodev_cli.told import finished, until_told

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The signals' handlers, put back."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Work:
    """Work that tells itself to end, and must put something back."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self.numbers = numbers
        self.put_back = False

    async def run(self) -> str:
        try:
            for number in self.numbers:
                os.kill(os.getpid(), number)
            await asyncio.sleep(0.05)
        finally:
            await asyncio.sleep(0.05)
            self.put_back = True
        return "done"


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_has_work_put_back_what_it_changed(number: signal.Signals) -> None:
    work = Work(number)
    with pytest.raises(Told) as told:
        finished(work.run())
    assert told.value.status == 128 + number
    assert work.put_back


def test_a_second_signal_does_not_interrupt_the_putting_back() -> None:
    work = Work(signal.SIGTERM, signal.SIGINT)
    assert until_told(work.run()) is None
    assert work.put_back


def test_work_that_ends_gives_its_result() -> None:
    assert finished(Work().run()) == until_told(Work().run()) == "done"


def test_what_was_started_with_nohup_outlives_the_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert finished(Work(signal.SIGHUP).run()) == "done"


def test_ctrl_c_while_the_command_line_is_imported_is_quiet_too(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    # Tests that are run in the background of a shell ignore the signal, and so would what they start.
    command = ("env", "--default-signal=INT", Path(sys.executable).parent / "autodev", "status")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")

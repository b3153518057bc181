"""The page says what the battery asserts, and the battery is as large as it says."""

from tests.security.program import PROCESS, STRONG, Trace
from tests.security.programs import all_programs
from tests.security.table import PAGE, table, written


def test_the_page_tells_what_each_level_cannot_stop() -> None:
    assert written(PAGE.read_text()) == table(), "run `python -m tests.security.table`"


def test_there_are_programs_enough() -> None:
    programs = all_programs()
    assert sum(not program.benign for program in programs) >= 80
    assert sum(program.benign for program in programs) >= 20


def test_honest_programs_work_at_every_level_alike() -> None:
    assert all(not program.weaker and PROCESS in program.levels for program in all_programs() if program.benign)


def test_strong_levels_leave_nothing_whatever_runs() -> None:
    leaves: set[Trace] = {trace for program in all_programs() for level in STRONG for trace in program.leaves_at(level)}
    assert leaves == set()

"""The table of docs/security.md: what each level cannot stop, as the battery asserts it.

`python -m tests.security.table` writes it anew.
"""

from pathlib import Path
from typing import Final

from tests.security.program import LEVELS
from tests.security.programs import all_programs

PAGE: Final = Path(__file__).parents[2] / "docs/security.md"
BEGIN: Final = "<!-- What follows is written by `python -m tests.security.table`. -->\n"
END: Final = "<!-- What precedes was written by `python -m tests.security.table`. -->\n"
YES: Final = "yes"
NO: Final = "no"


def table() -> str:
    """A row for each thing that code can do somewhere, with the programs that prove it."""
    programs: dict[str, list[str]] = {}
    levels: dict[str, set[str]] = {}
    for program in all_programs():
        for level, weakness in program.weaker.items():
            programs.setdefault(weakness.can, []).append(program.name)
            levels.setdefault(weakness.can, set()).add(level.name)
    head = f"| code can | {' | '.join(level.name for level in LEVELS)} | shown by |\n|{'---|' * (len(LEVELS) + 2)}\n"
    rows = [
        f"| {can} | {' | '.join(YES if level.name in levels[can] else NO for level in LEVELS)} "
        f"| {', '.join(f'`{name}`' for name in dict.fromkeys(programs[can]))} |\n"
        for can in sorted(programs, key=lambda can: (-len(levels[can]), can))
    ]
    return head + "".join(rows)


def written(page: str) -> str:
    """The table that a page holds."""
    return page.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

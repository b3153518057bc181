"""The smallest change that does what a repair does: what makes no difference is taken back."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from autodev_learning.lines import lines_of
from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate


async def minimised(repair: Candidate, starts: Sequence[Candidate], calls: Sequence[str], bench: Bench) -> str:
    """The repair's code with each of its changes taken back without which every example and probe gives the same."""
    repaired = lines_of(repair.code)
    base = max(
        (lines_of(start.code) for start in starts),
        key=lambda lines: SequenceMatcher(None, lines, repaired).ratio(),
        default=[],
    )
    examples = [example.call for example in bench.problem.visible]
    asked = [*examples, *calls]
    (wanted,) = await bench.probe([repair], asked)
    while variants := _without_one(base, repaired):
        given = await bench.probe([Candidate(("".join(lines),)) for lines in variants], asked)
        same = [lines for lines, outcomes in zip(variants, given, strict=True) if outcomes == wanted]
        if not same:
            break
        repaired = same[0]
    return "".join(repaired)


def _without_one(base: Sequence[str], repaired: Sequence[str]) -> list[list[str]]:
    """The repaired lines with one change taken back, for each; none where only one change is left."""
    changes = [
        code for code in SequenceMatcher(None, base, repaired, autojunk=False).get_opcodes() if code[0] != "equal"
    ]
    if len(changes) < 2:
        return []
    return [[*repaired[:start], *base[low:high], *repaired[end:]] for _, low, high, start, end in changes]

"""Proof in the real sandbox: what generated inputs and suites say of programs."""

from datetime import UTC, datetime

import pytest

from autodev_learning.evolution.comparison import KnownInput, Purpose
from autodev_learning.evolution.proving import generated_fault, generated_overfit, marked
from autodev_learning.memento.candidates import ExampleResult, ValidationResult
from autodev_learning.proof.agreement import GeneratedCheck, Overfit, evidence_of_check
from autodev_learning.proof.prover import ProofLimits, Prover
from autodev_learning.proof.suites import Source, SuiteExample, regression_text, suite_results
from autodev_learning.trial import SandboxTester

CALLS = ["unique([3, 1, 3, 2, 1])", "unique([5, 5])"]
PARENT = """def unique(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen
"""
SAME = "def unique(items):\n    return list(dict.fromkeys(items))\n"
MEMORISED = """def unique(items):
    return {(3, 1, 3, 2, 1): [3, 1, 2], (5, 5): [5]}.get(tuple(items), [])
"""
EMPTIES = "def unique(items):\n    found = list(dict.fromkeys(items))\n    items.clear()\n    return found\n"
RAISES = "def unique(items):\n    items[0]\n    return list(dict.fromkeys(items))\n"
RAISES_LATER = (
    "def unique(items):\n    if len(items) > 9:\n        raise ValueError\n    return list(dict.fromkeys(items))\n"
)
LOOPS = "def unique(items):\n    while not items:\n        pass\n    return list(dict.fromkeys(items))\n"


@pytest.fixture
def prover(tester: SandboxTester) -> Prover:
    return Prover(tester.execute, ProofLimits(inputs=24, seconds=2.0, suite_seconds=4.0))


async def check(prover: Prover, code: str, *references: str, calls: list[str] = CALLS) -> GeneratedCheck:
    checked = await prover.generated(code, references, "", calls, "seed", "version 1.0.0")
    assert checked is not None
    return checked


async def test_a_rewrite_that_does_the_same_agrees_everywhere(prover: Prover) -> None:
    checked = await check(prover, SAME, PARENT)
    assert (checked.inputs, checked.compared, checked.agreed, checked.failed) == (24, 24, 24, 0)
    assert generated_fault(checked, Purpose.FASTER) == ""
    assert generated_overfit(checked, Purpose.FASTER) is Overfit.NONE
    assert evidence_of_check(checked) == ("does as version 1.0.0 on 24 of 24 inputs that nobody gave (24 made)",)


@pytest.mark.parametrize(
    ("code", "call"),
    [(MEMORISED, ""), (EMPTIES, ""), (RAISES, "unique([])"), (RAISES_LATER, ""), (LOOPS, "unique([])")],
    ids=["memorised", "argument changed", "raises on nothing", "raises on more", "does not end"],
)
async def test_a_rewrite_that_only_fits_what_was_seen_is_found(prover: Prover, code: str, call: str) -> None:
    checked = await check(prover, code, PARENT)
    assert checked.differing
    assert checked.agreed < checked.compared
    if call:
        assert call in [each.call for each in checked.differing]
    assert generated_overfit(checked, Purpose.FASTER) is Overfit.FOUND
    assert checked.differing[0].call in generated_fault(checked, Purpose.FASTER)


async def test_the_type_of_an_error_is_behaviour_and_its_message_is_not(prover: Prover) -> None:
    calls = ["half(4)", "half(9)"]
    parent = "def half(n):\n    if n < 2:\n        raise ValueError('too few')\n    return n // 2\n"
    same = "def half(n):\n    if n < 2:\n        raise ValueError('not enough')\n    return n >> 1\n"
    other = "def half(n):\n    if n < 2:\n        raise KeyError('too few')\n    return n // 2\n"
    assert not (await check(prover, same, parent, calls=calls)).differing
    differing = (await check(prover, other, parent, calls=calls)).differing
    assert differing
    assert all("ValueError" in each.expected for each in differing)


async def test_what_a_program_yields_is_compared_value_by_value(prover: Prover) -> None:
    calls = ["evens([1, 2, 4])"]
    parent = "def evens(items):\n    for item in items:\n        if item % 2 == 0:\n            yield item\n"
    same = "def evens(items):\n    return (item for item in items if not item % 2)\n"
    odd = "def evens(items):\n    return (item for item in items if item % 2 == 0 and item < 4)\n"
    checked = await check(prover, same, parent, calls=calls)
    assert checked.agreed == checked.compared == 24
    assert (await check(prover, odd, parent, calls=calls)).differing


async def test_a_reference_that_gives_something_else_each_time_says_nothing(prover: Prover) -> None:
    parent = "import random\ndef unique(items):\n    return random.random()\n"
    checked = await check(prover, SAME, parent)
    assert (checked.compared, checked.differing) == (0, ())


async def test_references_that_differ_say_nothing(prover: Prover) -> None:
    in_order = "def unique(items):\n    return sorted(set(items))\n"
    alone, both = await check(prover, MEMORISED, PARENT), await check(prover, MEMORISED, PARENT, in_order)
    assert both.compared < alone.compared


async def test_without_a_reference_only_what_breaks_is_counted(prover: Prover) -> None:
    checked = await check(prover, RAISES)
    assert (checked.compared, checked.reference) == (0, "")
    assert checked.failed >= 1
    assert evidence_of_check(checked) == (f"raises or does not end on {checked.failed} of 24 inputs that nobody gave",)


async def test_calls_of_which_no_inputs_can_be_made_say_why_and_end_no_proof(prover: Prover) -> None:
    too_deep = f"unique([1], {'not ' * 300}x)"
    checked = await check(prover, SAME, PARENT, calls=[too_deep])
    assert (checked.inputs, checked.differing) == (0, ())
    (line,) = evidence_of_check(checked)
    assert line.startswith("no inputs that nobody gave could be made: RecursionError")
    assert generated_fault(checked, Purpose.FASTER) == ""
    assert ValidationResult((result("unique([1])", passed=True),), generated=checked).overfit is Overfit.NONE


async def test_a_mended_program_is_held_to_its_parent_only_where_it_breaks(prover: Prover) -> None:
    wrong = "def unique(items):\n    return list(dict.fromkeys(items))[:2]\n"
    mended = await check(prover, SAME, wrong)
    assert mended.differing
    assert generated_fault(mended, Purpose.MEND) == ""
    assert generated_overfit(mended, Purpose.MEND) is Overfit.NONE
    assert generated_overfit(await check(prover, RAISES, wrong), Purpose.MEND) is Overfit.SUSPECTED


async def test_a_program_cannot_pass_by_changing_what_observes_it(prover: Prover) -> None:
    forged = (
        MEMORISED + "\ndef _observed_(function, /, *arguments, **named):\n    return 'returned', [], arguments, named\n"
    )
    assert (await check(prover, forged, PARENT)).differing


def member(call: str, expected: str, *, held_out: bool = False) -> SuiteExample:
    return SuiteExample(call, call, expected, Source.TASK, "c1", held_out, datetime(2026, 1, 1, tzinfo=UTC))


SUITE = [member("unique([1, 1])", "[1]"), member("unique([2, 1, 2])", "[2, 1]"), member("unique([])", "[]")]


async def test_a_version_that_loses_what_the_active_one_gives_is_refused_with_the_inputs(prover: Prover) -> None:
    results = await suite_results(prover, "def unique(items):\n    return sorted(set(items))\n", SAME, "", SUITE)
    text = regression_text(results)
    assert text.startswith("regression on 1 of 3 examples of the skill: unique([2, 1, 2]) gives [1, 2]")
    assert regression_text(await suite_results(prover, SAME, PARENT, "", SUITE)) == ""


async def test_what_the_active_version_does_not_give_either_is_no_regression(prover: Prover) -> None:
    stale = [*SUITE, member("unique([9])", "[10]")]
    results = await suite_results(prover, SAME, PARENT, "", stale)
    assert [each.call for each in results] == [each.call for each in SUITE]
    assert regression_text(results) == ""


async def test_a_suite_of_many_is_run_in_parts(prover: Prover) -> None:
    many = [member(f"unique([{n}, {n}])", f"[{n}]") for n in range(60)]
    results = await suite_results(prover, SAME, PARENT, "", many)
    assert [each.passed for each in results] == [True] * 60


@pytest.mark.parametrize(
    "call",
    [
        "__import__('os').kill(__import__('os').getppid(), 9)",
        "__import__('os')._exit(0)",
        "bytearray(10**10)",
        "[__import__('time').sleep(9)]",
    ],
)
async def test_a_call_that_ends_its_execution_takes_no_other_out_of_the_suite(prover: Prover, call: str) -> None:
    suite = [SUITE[0], member(call, "1"), *SUITE[1:]]
    results = await suite_results(prover, "def unique(items):\n    return sorted(set(items))\n", SAME, "", suite)
    assert [each.call for each in results] == [each.call for each in SUITE]
    assert regression_text(results).startswith("regression on 1 of 3 examples of the skill: unique([2, 1, 2])")


def result(call: str, *, passed: bool, held_out: bool = False) -> ExampleResult:
    return ExampleResult(call, "1", "1" if passed else "2", "", passed=passed, held_out=held_out)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([result("f(1)", passed=True), result("f(2)", passed=False, held_out=True)], Overfit.FOUND),
        ([result("f(1)", passed=True), result("f(2)", passed=True, held_out=True)], Overfit.NONE),
        ([result("f(1)", passed=False), result("f(2)", passed=False, held_out=True)], Overfit.NONE),
        ([result("f(2)", passed=False, held_out=True)], Overfit.NONE),
        ([], Overfit.NONE),
    ],
)
def test_overfit_is_what_passes_all_that_was_seen_and_fails_what_was_not(
    results: list[ExampleResult], expected: Overfit
) -> None:
    assert ValidationResult(tuple(results)).overfit is expected


async def test_a_candidate_that_known_good_programs_contradict_is_suspected_and_passes(prover: Prover) -> None:
    passed = (result("unique([1])", passed=True),)
    for good in ([PARENT], [PARENT, SAME, "def unique(items):\n    return sorted(set(items), key=items.index)\n"]):
        suspected = ValidationResult(passed, generated=await check(prover, MEMORISED, *good))
        assert (suspected.overfit, suspected.passes_all) == (Overfit.SUSPECTED, True)
    agreed = ValidationResult(passed, generated=await check(prover, SAME, PARENT))
    assert agreed.overfit is Overfit.NONE


def test_a_suites_call_that_no_proposer_was_shown_is_held_out() -> None:
    shown = [KnownInput("f(1)", "1"), KnownInput("f(2)", "1", held_out=True)]
    results = marked([result(call, passed=True) for call in ("f( 1 )", "f(2)", "f(3)")], shown)
    assert [each.held_out for each in results] == [False, True, True]

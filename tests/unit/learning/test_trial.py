"""Programs tried in the sandbox, many in one execution, none harming another."""

from collections.abc import Mapping, Sequence

import pytest

from autodev_learning.examples import Example
from autodev_learning.trial import CallOutcome, Execution, SandboxTester, check
from tests.unit.learning.sandboxed import namespace_execute

GOOD = "def f(x):\n    return x + 1\n"


async def outcomes(tester: SandboxTester, program: str, call: str = "f(1)", preamble: str = "") -> CallOutcome:
    ((outcome,),) = await tester.run([program], preamble, [call])
    return outcome


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("[1, (2,), {'a': {3}}]", "[1, (2,), {'a': {3}}]"),
        ("__import__('collections').OrderedDict(a=1)", "{'a': 1}"),
        ("__import__('collections').Counter('aa')", "{'a': 2}"),
        ("__import__('collections').namedtuple('P', 'x y')(1, 2)", "(1, 2)"),
        ("frozenset({1})", "{1}"),
        ("float('inf')", "inf"),
        ("range(3)", "range(0, 3)"),
    ],
)
async def test_a_value_comes_back_as_the_literal_it_equals(tester: SandboxTester, value: str, literal: str) -> None:
    assert await outcomes(tester, f"def f(x):\n    return {value}\n") == CallOutcome(value=literal)


async def test_a_call_sees_the_preamble_and_the_program(tester: SandboxTester) -> None:
    program = "import math\ndef f(x):\n    return math.floor(x) + START\n"
    assert await outcomes(tester, program, "f(1.5)", preamble="START = 10") == CallOutcome(value="11")


async def test_outcomes_that_were_written_over_are_none(tester: SandboxTester) -> None:
    program = (
        "import os, sys\ndef f(x):\n    frame = sys._getframe()\n    while 'board' not in frame.f_locals:\n"
        "        frame = frame.f_back\n    board = frame.f_locals['board']\n"
        "    board[:4 + len(x)] = (200).to_bytes(4, 'little') + x\n    os._exit(0)\n"
    )
    calls = [r"f(b'v\xff\xff\xff\xff')", r"f(b'x\1\0\0\0')", r"f(b'v\2\0\0\0\xff\xff')"]
    for call in calls:
        assert (await outcomes(tester, program, call)).error == "Forged: the program wrote over its outcomes"


async def test_what_cannot_be_encoded_comes_back_as_its_number(tester: SandboxTester) -> None:
    program = "def f(x):\n    raise ValueError('\\ud800 é\\n')\n"
    assert (await outcomes(tester, program)).error == "ValueError: \\ud800 é\n"


async def test_no_call_sees_what_another_left(tester: SandboxTester) -> None:
    program = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)\n"
    (given,) = await tester.run([program], "", ["f(1)", "f(2)"])
    assert given == (CallOutcome(value="1"), CallOutcome(value="1"))


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("def f(x):\n    return [][x]\n", "IndexError: list index out of range"),
        ("def f(x:\n", "SyntaxError: '(' was never closed (<program>, line 1)"),
        ("def g(x):\n    return 1\n", "NameError: name 'f' is not defined"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def f(x):\n    return f(x)\n", "RecursionError: maximum recursion depth exceeded"),
        ("def f(x):\n    while True:\n        pass\n", "timeout"),
        ("def f(x):\n    while True:\n        try:\n            f(x)\n        except:\n            pass\n", "timeout"),
        ("import time\ndef f(x):\n    time.sleep(600)\n", "timeout"),
        ("import os\ndef f(x):\n    os._exit(0)\n", "Exited: the program ended its process"),
        ("import os\ndef f(x):\n    os.kill(os.getpid(), 9)\n", "Exited: the program ended its process"),
        ("def f(x):\n    return 'a' * 10_000\n", "OverflowError: the value's repr has 10002 characters"),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\ndef f(x):\n    raise E\n",
         "E: (its message cannot be made)"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_is_told(tester: SandboxTester, program: str, error: str) -> None:
    given = await tester.run([GOOD, program, GOOD], "", ["f(1)"])
    assert given == [(CallOutcome(value="2"),), (CallOutcome(error=error),), (CallOutcome(value="2"),)]


async def test_a_program_that_takes_all_memory_harms_no_other(tester: SandboxTester) -> None:
    greedy = "def f(x):\n    held = []\n    while True:\n        held.append(bytearray(50_000_000))\n"
    before, given, after = await tester.run([GOOD, greedy, GOOD], "", ["f(1)"])
    assert before == after == (CallOutcome(value="2"),)
    assert given[0].error is not None


async def test_printing_megabytes_disturbs_nothing(tester: SandboxTester) -> None:
    assert await outcomes(tester, "def f(x):\n    print('x' * 9_000_000)\n    return 1\n") == CallOutcome(value="1")


async def test_what_was_given_before_a_crash_is_kept(tester: SandboxTester) -> None:
    program = "import os\ndef f(x):\n    return x if x < 2 else os._exit(1)\n"
    (given,) = await tester.run([program], "", ["f(0)", "f(1)", "f(2)", "f(0)"])
    assert [outcome.value for outcome in given] == ["0", "1", None, None]


async def test_after_two_calls_without_end_the_rest_is_not_tried(tester: SandboxTester) -> None:
    program = "def f(x):\n    while x:\n        pass\n    return x\n"
    (given,) = await tester.run([program], "", ["f(0)", "f(1)", "f(1)", "f(0)"])
    assert [outcome.error for outcome in given] == [None, "timeout", "timeout", "timeout"]


async def test_a_program_cannot_write_into_the_sandboxs_result(tester: SandboxTester) -> None:
    program = (
        "import os\n"
        "def f(x):\n"
        "    for descriptor in range(3, 256):\n"
        "        try:\n"
        '            os.write(descriptor, b\'[[{"value": "42"}]]\')\n'
        "        except OSError:\n"
        "            pass\n"
        "    return 1\n"
    )
    assert await tester.run([program, GOOD], "", ["f(1)"]) == [(CallOutcome(value="1"),), (CallOutcome(value="2"),)]


async def test_the_sandbox_is_never_told_what_is_expected() -> None:
    told: list[object] = []
    execute = await namespace_execute()

    async def listening(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        told.extend((code, entry_point, *inputs.values()))
        return await execute(code, entry_point, inputs, timeout_s)

    verdict = await check(SandboxTester(listening), GOOD, "", [Example("f(1233)", "1234"), Example("f(1)", "5")])
    assert verdict.passed == (True, False)
    assert not verdict.passes_all
    assert "1234" not in str(told)


async def test_many_programs_go_in_few_executions_and_keep_their_order() -> None:
    sizes: list[int] = []
    execute = await namespace_execute()

    async def counting(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        programs = inputs["programs"]
        assert isinstance(programs, Sequence)
        sizes.append(len(programs))
        return await execute(code, entry_point, inputs, timeout_s)

    programs = [f"def f(x):\n    return x + {number}\n" for number in range(10)]
    padded = [*programs, "#" * 400_000, "#" * 400_000]
    given = await SandboxTester(counting, programs_per_execution=4).run(padded, "", ["f(1)"])
    assert [row[0].value for row in given[:10]] == [str(number + 1) for number in range(10)]
    assert sizes == [4, 4, 3, 1]


async def test_an_execution_that_ends_badly_is_taken_apart_until_one_program_is_to_blame() -> None:
    execute = await namespace_execute()

    async def failing_on_bad(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        if "# bad" in str(inputs["programs"]):
            return Execution(ok=False, detail="OOM")
        return await execute(code, entry_point, inputs, timeout_s)

    given = await SandboxTester(failing_on_bad).run([GOOD, GOOD, GOOD + "# bad", GOOD], "", ["f(1)", "f(2)"])
    good = (CallOutcome(value="2"), CallOutcome(value="3"))
    assert given == [good, good, (CallOutcome(error="Sandbox: OOM"),) * 2, good]


@pytest.mark.parametrize("result", [None, [], [[]], [[{"value": "2"}, {"value": "2"}]], {"value": "2"}])
async def test_a_result_of_another_shape_passes_nothing(result: object) -> None:
    async def tampered(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        return Execution(ok=True, result=result)

    (given,) = await SandboxTester(tampered).run([GOOD], "", ["f(1)"])
    assert given == (CallOutcome(error="Sandbox: the result has another shape"),)

"""What an execution answers, the same on every backend."""

import asyncio

import pytest

from autodev_runtime.json_value import JsonValue
from autodev_sandbox.backends import Backend
from autodev_sandbox.execution import MIB, MIN_MEMORY_BYTES, Execution, Limits, Outcome, Status

BRIEF = Limits(timeout_s=1)


async def call(backend: Backend, code: str, limits: Limits = Limits(), **inputs: JsonValue) -> Outcome:  # noqa: B008
    return await backend.run(Execution(code=code, entry_point="f", inputs=inputs, limits=limits))


async def run(backend: Backend, code: str, limits: Limits = Limits()) -> Outcome:  # noqa: B008
    return await backend.run(Execution(code=code, limits=limits))


async def test_the_entry_points_value_is_the_result(backend: Backend) -> None:
    outcome = await call(
        backend, "def f(a, b): return {'sum': a + b, 'both': (a, [b, None, True, 1.5, 'ü'])}", a=1, b=2
    )
    assert outcome.status is Status.OK
    assert outcome.value == {"sum": 3, "both": [1, [2, None, True, 1.5, "ü"]]}
    assert outcome.level is backend.level
    assert (outcome.exit_code, outcome.error) == (0, None)


async def test_a_module_runs_as_the_main_program(backend: Backend) -> None:
    outcome = await run(
        backend, "import sys\nif __name__ == '__main__':\n  print('out')\n  print('err', file=sys.stderr)"
    )
    assert (outcome.status, outcome.value) == (Status.OK, None)
    assert (outcome.stdout, outcome.stderr) == ("out\n", "err\n")


async def test_dataclasses_find_their_module(backend: Backend) -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass P:\n  x: 'int'\ndef f(): return P(3).x"
    assert (await call(backend, code)).value == 3


async def test_an_exception_is_told_with_the_codes_own_frames(backend: Backend) -> None:
    outcome = await call(backend, "def f():\n    return g(0)\n\ndef g(n):\n    return 1 / n\n")
    assert (outcome.status, outcome.exit_code) == (Status.ERROR, 1)
    assert outcome.error
    assert (outcome.error.type, outcome.error.message) == ("ZeroDivisionError", "division by zero")
    assert outcome.error.traceback == (
        "Traceback (most recent call last):\n"
        '  File "skill.py", line 2, in f\n    return g(0)\n'
        '  File "skill.py", line 5, in g\n    return 1 / n\n'
        "ZeroDivisionError: division by zero\n"
    )


async def test_endless_recursion_is_an_error_of_bounded_length(backend: Backend) -> None:
    outcome = await call(backend, "def f(): return f()")
    assert outcome.status is Status.ERROR
    assert outcome.error
    assert outcome.error.type == "RecursionError"
    assert len(outcome.error.traceback) < 3000


@pytest.mark.parametrize(
    "code", ["def f(:", "x = 1\nif x\n  y", "\0", "f = " + "(" * 500 + ")" * 500, "x = " + "-" * 100_000 + "1"]
)
async def test_what_is_no_python_is_a_syntax_error(backend: Backend, code: str) -> None:
    outcome = await call(backend, code)
    assert outcome.status is Status.ERROR
    assert outcome.error
    assert outcome.error.type == "SyntaxError"


async def test_a_syntax_error_names_its_line(backend: Backend) -> None:
    outcome = await run(backend, "x = 1\ny = = 2\n")
    assert outcome.error
    assert "line 2" in outcome.error.message
    assert "y = = 2" in outcome.error.traceback


@pytest.mark.parametrize(
    ("code", "kind"), [("g = 1", "NameError"), ("f = 1", "TypeError"), ("def f(): return 1", "TypeError")]
)
async def test_an_entry_point_that_cannot_be_called_is_an_error(backend: Backend, code: str, kind: str) -> None:
    outcome = await call(backend, code, surplus=1)
    assert outcome.status is Status.ERROR
    assert outcome.error
    assert outcome.error.type == kind


@pytest.mark.parametrize("end", ["import sys; sys.exit(3)", "import os; os._exit(3)", "exit(3)"])
async def test_another_exit_code_than_0_is_an_error(backend: Backend, end: str) -> None:
    outcome = await run(backend, end)
    assert (outcome.status, outcome.exit_code) == (Status.ERROR, 3)


async def test_exit_code_0_is_success_for_a_module_and_no_result_for_a_call(backend: Backend) -> None:
    assert (await run(backend, "import sys; sys.exit()")).status is Status.OK
    assert (await call(backend, "import os\ndef f(): os._exit(0)")).status is Status.ERROR


async def test_a_crash_is_killed_and_an_exit_code_like_it_is_not(backend: Backend) -> None:
    crash = await run(backend, "import ctypes; ctypes.string_at(0)")
    assert (crash.status, crash.exit_code) == (Status.KILLED, 139)
    assert (await run(backend, "import os; os._exit(139)")).status is Status.ERROR


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import signal, time\nfor s in range(1, 32):\n  try: signal.signal(s, signal.SIG_IGN)\n  except OSError: pass\n"
        "while True:\n  try: time.sleep(9)\n  except BaseException: pass",
        "import os, time\nos.fork()\nwhile True: time.sleep(1)",
    ],
)
async def test_what_does_not_end_is_timed_out(backend: Backend, code: str) -> None:
    outcome = await run(backend, "print('begun', flush=True)\n" + code, BRIEF)
    assert outcome.status is Status.TIMEOUT
    assert 1 <= outcome.duration_s < 2
    assert outcome.stdout == "begun\n"


async def test_more_memory_than_allowed_is_out_of_memory(backend: Backend) -> None:
    outcome = await run(backend, "x = []\nwhile True: x.append(bytearray(1000000))")
    assert outcome.status is Status.OOM
    assert 200 * MIB < outcome.peak_memory_bytes < 300 * MIB


async def test_a_list_that_grows_without_end_is_out_of_memory(backend: Backend) -> None:
    assert (await run(backend, "x = []\nwhile True: x.append(x)", Limits(memory_bytes=64 * MIB))).status is Status.OOM


async def test_peak_memory_is_what_the_code_held(backend: Backend) -> None:
    outcome = await run(backend, "x = bytearray(b'x') * 100_000_000")
    assert outcome.status is Status.OK
    assert 95 * MIB < outcome.peak_memory_bytes < 140 * MIB


async def test_the_least_memory_is_enough_for_python(backend: Backend) -> None:
    limits = Limits(memory_bytes=MIN_MEMORY_BYTES + 8 * MIB)
    assert (await call(backend, "def f(): return 1", limits)).value == 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_too_much_output_is_cut_and_ends_it(backend: Backend, stream: str) -> None:
    outcome = await run(backend, f"import sys\nwhile True: sys.{stream}.write('x' * 1000)", Limits(output_bytes=10_000))
    assert outcome.status is Status.OUTPUT_LIMIT
    assert len(getattr(outcome, stream)) == 10_000


async def test_output_at_the_limit_is_kept_whole(backend: Backend) -> None:
    limits = Limits(output_bytes=10_000)
    assert len((await run(backend, "print('x' * 9_999)", limits)).stdout) == 10_000
    assert (await run(backend, "print('x' * 10_000)", limits)).status is Status.OUTPUT_LIMIT


async def test_too_large_a_result_is_refused(backend: Backend) -> None:
    limits = Limits(output_bytes=10_000)
    assert (await call(backend, "def f(): return 'x' * 9_000", limits)).status is Status.OK
    assert (await call(backend, "def f(): return 'x' * 20_000", limits)).status is Status.OUTPUT_LIMIT


async def test_bytes_that_are_no_text_are_replaced(backend: Backend) -> None:
    outcome = await run(backend, r"import os; os.write(1, b'a\xff\x00b')")
    assert outcome.stdout == "a�\0b"


@pytest.mark.parametrize(
    "value",
    ["{1, 2}", "b'x'", "1j", "{1: 2}", "float('nan')", "-1e999", "2 ** 53", "10 ** 5000", "object()", r"'\ud800'", "x"],
)
async def test_a_value_that_is_not_json_shaped_is_an_error(backend: Backend, value: str) -> None:
    outcome = await call(backend, f"x = []\nx.append(x)\ndef f(): return [{value}]")
    assert outcome.status is Status.ERROR
    assert outcome.error
    assert outcome.error.message.startswith("the result is not JSON-shaped: ")


async def test_the_same_code_gives_the_same_answer_twice(backend: Backend) -> None:
    code = "def f(): return [hash('x'), list({'a', 'b', 'c', 'd'})]"
    first, second = [await call(backend, code) for _ in range(2)]
    assert first.value == second.value


async def test_input_is_at_its_end(backend: Backend) -> None:
    outcome = await run(backend, "input()")
    assert outcome.error
    assert outcome.error.type == "EOFError"


async def test_executions_side_by_side_do_not_mix(backend: Backend) -> None:
    outcomes = await asyncio.gather(*(call(backend, "def f(n): print(n); return n", n=n) for n in range(6)))
    assert [(outcome.value, outcome.stdout) for outcome in outcomes] == [(n, f"{n}\n") for n in range(6)]

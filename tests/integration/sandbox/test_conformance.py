"""What an execution answers, the same on every backend."""

import asyncio
import json
import time

import pytest

from autodev_runtime.json_value import JsonValue
from autodev_sandbox.backends import Backend
from autodev_sandbox.execution import (
    MIB,
    MIN_MEMORY_BYTES,
    CallOutcome,
    Calls,
    Execution,
    Limits,
    Outcome,
    Status,
    Stream,
)
from autodev_sandbox.running import run_calls, run_on

BRIEF = Limits(timeout_s=1)


async def call(backend: Backend, code: str, limits: Limits = Limits(), **inputs: JsonValue) -> Outcome:  # noqa: B008
    return await run_on(backend, Execution(code=code, entry_point="f", inputs=inputs, limits=limits))


async def run(backend: Backend, code: str, limits: Limits = Limits()) -> Outcome:  # noqa: B008
    return await run_on(backend, Execution(code=code, limits=limits))


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


async def test_a_line_is_told_where_python_itself_ends_lines(backend: Backend) -> None:
    outcome = await call(backend, "text = '\x0c \u2028 \x85'\r\ndef f():\r    return 1 / 0\n")
    assert outcome.error
    assert '  File "skill.py", line 3, in f\n    return 1 / 0\n' in outcome.error.traceback


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("class E(Exception):\n  def __str__(self): raise KeyboardInterrupt\ndef f(): raise E", "E"),
        (
            "class M(type):\n  @property\n  def __name__(self): raise ValueError\n"
            "class E(Exception, metaclass=M): pass\ndef f(): raise E",
            "E",
        ),
        ("def f(): raise SyntaxError('x', ('skill.py', 'no line', 1, ''))", "SyntaxError"),
    ],
)
async def test_an_error_that_cannot_be_described_keeps_its_type(backend: Backend, code: str, kind: str) -> None:
    outcome = await call(backend, code)
    assert outcome.status is Status.ERROR
    assert outcome.error
    assert (outcome.error.type, outcome.error.message) == (kind, "(its message cannot be made)")


@pytest.mark.parametrize(
    ("stderr", "told"), [("sys.stderr", "bye\n"), ("None", "bye\n"), ("type('Silent', (), {})", "")]
)
async def test_an_exit_with_words_is_one_wherever_they_can_be_told(backend: Backend, stderr: str, told: str) -> None:
    outcome = await run(backend, f"import sys\nsys.stderr = {stderr}\nsys.exit('bye')")
    assert (outcome.status, outcome.exit_code, outcome.stdout, outcome.stderr) == (Status.ERROR, 1, "", told)
    assert outcome.error
    assert outcome.error.type == "SystemExit"


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


@pytest.mark.parametrize(
    ("output_bytes", "code", "status"),
    [
        (1, "return 1", Status.OK),
        (1, "return 11", Status.OUTPUT_LIMIT),
        (10_000, "return 'x' * 9_998", Status.OK),
        (10_000, "return 'x' * 9_999", Status.OUTPUT_LIMIT),
        (400_000, "return 'x' * 399_998", Status.OK),
        (400_000, "return 'x' * 399_999", Status.OUTPUT_LIMIT),
        (1, "raise ValueError('x' * 10_000)", Status.ERROR),
        (1, "import sys; sys.stderr.write('xx'); raise ValueError", Status.OUTPUT_LIMIT),
    ],
)
async def test_the_limit_is_the_results_own_and_no_errors(
    backend: Backend, output_bytes: int, code: str, status: Status
) -> None:
    limits = Limits(output_bytes=output_bytes)
    outcome = await call(backend, f"def f(): {code}", limits)
    assert outcome.status is status
    (one,) = await outcomes_of(backend, Calls(f"def f(): {code}", "f", [{}], limits))
    assert (one.outcome.status, one.outcome.error) == (status, outcome.error)
    if status is Status.ERROR:
        assert outcome.error
        assert (outcome.error.type, outcome.error.message) == ("ValueError", "x" * 10_000)
        (unloaded,) = await outcomes_of(backend, Calls(code, "f", [{}], limits))
        assert unloaded.outcome.status is status
        assert unloaded.outcome.error
        assert (unloaded.outcome.error.type, unloaded.outcome.error.message) == ("ValueError", "x" * 10_000)


async def test_an_error_is_cut_where_it_has_more_text_than_room(backend: Backend) -> None:
    # Each of these is twelve bytes as JSON text.
    code = "def f(): raise type('E' * 300_000, (Exception,), {})('\U0001f600' * 10_000)"
    outcome = await call(backend, code, Limits(output_bytes=1))
    assert outcome.status is Status.ERROR
    assert outcome.error
    assert set(outcome.error.type) == {"E"}
    assert set(outcome.error.message) == {"\U0001f600"}
    assert outcome.error.traceback.startswith("Traceback (most recent call last):\n")
    parts = (outcome.error.type, outcome.error.message, outcome.error.traceback)
    assert 100_000 < sum(len(json.dumps(part)) for part in parts) <= 256 * 1024


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


@pytest.mark.parametrize("loss", ["del sys.stdout", "sys.stdout = None", "sys.stdout.close()", "sys.stderr = 1"])
async def test_a_stream_that_the_code_took_away_is_its_own_affair(backend: Backend, loss: str) -> None:
    assert (await call(backend, f"import sys\ndef f():\n  {loss}\n  return 1")).value == 1


async def test_input_is_at_its_end(backend: Backend) -> None:
    outcome = await run(backend, "input()")
    assert outcome.error
    assert outcome.error.type == "EOFError"


async def test_executions_side_by_side_do_not_mix(backend: Backend) -> None:
    outcomes = await asyncio.gather(*(call(backend, "def f(n): print(n); return n", n=n) for n in range(6)))
    assert [(outcome.value, outcome.stdout) for outcome in outcomes] == [(n, f"{n}\n") for n in range(6)]


async def test_output_is_heard_as_it_comes(backend: Backend) -> None:
    heard: list[tuple[Stream, bytes]] = []
    began_s = time.monotonic()
    first_s = [0.0]

    def hear(stream: Stream, piece: bytes) -> None:
        first_s[0] = first_s[0] or time.monotonic() - began_s
        heard.append((stream, piece))

    code = "import sys, time\nprint('a')\ntime.sleep(1)\nprint('b', file=sys.stderr)"
    outcome = await run_on(backend, Execution(code), hear)
    assert heard == [(Stream.STDOUT, b"a\n"), (Stream.STDERR, b"b\n")]
    assert time.monotonic() - began_s - first_s[0] > 0.5
    assert (outcome.status, outcome.stdout, outcome.stderr) == (Status.OK, "", "")


async def test_what_is_heard_is_bounded(backend: Backend) -> None:
    heard: list[bytes] = []
    execution = Execution("while True: print('x' * 999)", limits=Limits(output_bytes=10_000))
    outcome = await run_on(backend, execution, lambda _, piece: heard.append(piece))
    assert outcome.status is Status.OUTPUT_LIMIT
    assert sum(map(len, heard)) == 10_000


async def test_files_go_in_and_come_back(backend: Backend) -> None:
    code = "import os\nos.mkdir('out')\nopen('out/copy', 'w').write(open('in/text').read().upper())"
    execution = Execution(code, input_files={"in/text": b"abc"}, output_files=("out/copy", "missing"))
    outcome = await run_on(backend, execution)
    assert (outcome.status, outcome.files) == (Status.OK, {"out/copy": b"ABC"})


@pytest.mark.parametrize(
    "make",
    [
        "os.symlink('/etc/passwd', 'f')",
        "os.mkfifo('f')",
        "os.mkdir('f')",
        "os.mkdir('d'); open('d/f', 'w').write('x'); os.symlink('d', 'f')",
        "import socket; socket.socket(socket.AF_UNIX).bind('f')",
    ],
)
async def test_what_is_no_ordinary_file_does_not_come_back(backend: Backend, make: str) -> None:
    execution = Execution("import os\n" + make, output_files=("f", "f/f"))
    outcome = await run_on(backend, execution)
    assert (outcome.status, outcome.files) == (Status.OK, {})


async def test_a_folder_that_the_code_closed_gives_no_files_and_takes_nothing_else(backend: Backend) -> None:
    # Not the owner's everywhere.
    code = "import os\nprint('done')\ntry: os.chmod('.', 0)\nexcept PermissionError: pass"
    execution = Execution(code, output_files=("f", "d/f"))
    outcome = await run_on(backend, execution)
    assert (outcome.status, outcome.stdout, outcome.files) == (Status.OK, "done\n", {})


async def test_a_file_that_is_swapped_for_a_link_does_not_lead_out(backend: Backend) -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        with open('t', 'w') as file: file.write('mine')
        os.rename('t', 'f')
        os.symlink('/etc/passwd', 't')
        os.rename('t', 'f')
    os._exit(0)
time.sleep(0.2)"""
    outcomes = [await run_on(backend, Execution(code, output_files=("f",))) for _ in range(5)]
    assert {outcome.status for outcome in outcomes} == {Status.OK}
    # Where what outlives the code goes on swapping, a file may also be seen before it was written.
    assert all(outcome.files.get("f", b"") in (b"", b"mine") for outcome in outcomes)


async def test_files_that_come_back_are_bounded(backend: Backend) -> None:
    code = "for name in 'ab': open(name, 'wb').write(bytes(600))"
    execution = Execution(code, output_files=("a", "b"), limits=Limits(file_bytes=1000))
    assert (await run_on(backend, execution)).status is Status.OUTPUT_LIMIT
    enough = Execution(code, output_files=("a", "b"), limits=Limits(file_bytes=1200))
    assert (await run_on(backend, enough)).files == {"a": bytes(600), "b": bytes(600)}


async def outcomes_of(backend: Backend, calls: Calls, start: int = 0) -> list[CallOutcome]:
    sandbox = await backend.take(calls.limits)
    try:
        return [each async for each in run_calls(sandbox, calls, start)]
    finally:
        backend.retire(sandbox)


async def test_calls_are_answered_in_order_by_one_interpreter(backend: Backend) -> None:
    code = "import os\nseen = []\ndef f(n):\n  print(n)\n  seen.append(n)\n  return [n, len(seen), os.getpid()]"
    outcomes = await outcomes_of(backend, Calls(code, "f", [{"n": n} for n in range(50)]), start=10)
    assert [each.index for each in outcomes] == list(range(10, 50))
    values = [each.outcome.value for each in outcomes]
    assert [value[:2] for value in values if isinstance(value, list)] == [[n, n - 9] for n in range(10, 50)]
    assert [each.outcome.stdout for each in outcomes] == [f"{n}\n" for n in range(10, 50)]


async def test_an_exception_in_a_call_is_that_calls_alone(backend: Backend) -> None:
    code = "import sys\ndef f(n): return sys.exit(3) if n == 2 else 1 / n"
    outcomes = await outcomes_of(backend, Calls(code, "f", [{"n": n} for n in (1, 0, 2, 4)]))
    assert [each.outcome.value for each in outcomes] == [1.0, None, None, 0.25]
    assert [each.outcome.error and each.outcome.error.type for each in outcomes] == [
        None,
        "ZeroDivisionError",
        "SystemExit",
        None,
    ]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("os._exit(0)", Status.ERROR),
        ("os.kill(os.getpid(), 9)", Status.KILLED),
        ("time.sleep(9)", Status.TIMEOUT),
        ("print('x' * 100_000)", Status.OUTPUT_LIMIT),
        ("return 'x' * 100_000", Status.OUTPUT_LIMIT),
    ],
)
async def test_a_call_that_ends_the_interpreter_ends_the_calls(backend: Backend, end: str, status: Status) -> None:
    code = f"import os, time\ndef f(n):\n  if n == 1: {end}\n  return n"
    calls = Calls(code, "f", [{"n": n} for n in range(3)], Limits(timeout_s=1, output_bytes=10_000))
    outcomes = await outcomes_of(backend, calls)
    assert [each.outcome.status for each in outcomes] == [Status.OK, status]
    assert [each.index for each in await outcomes_of(backend, calls, start=2)] == [2]


async def test_code_that_cannot_be_loaded_fails_every_call(backend: Backend) -> None:
    outcomes = await outcomes_of(backend, Calls("1 / 0", "f", [{}, {}, {}]))
    assert [each.index for each in outcomes] == [0, 1, 2]
    assert {each.outcome.error.type for each in outcomes if each.outcome.error} == {"ZeroDivisionError"}


async def test_repeated_calls_are_timed_from_outside(backend: Backend) -> None:
    code = (
        "import time\nlate = 0\ndef f(s):\n  global late\n  late += 1\n"
        "  time.sleep(s if late > 2 else 0)\n  time.monotonic_ns = time.perf_counter = lambda: 0\n  return 1"
    )
    (outcome,) = await outcomes_of(backend, Calls(code, "f", [{"s": 0.1}], warmup=2, repeat=3))
    assert (outcome.outcome.value, outcome.varied, len(outcome.call_s)) == (1, False, 3)
    assert all(0.1 <= seconds < 1 for seconds in outcome.call_s)


async def test_each_repeated_call_gets_its_inputs_anew(backend: Backend) -> None:
    (outcome,) = await outcomes_of(backend, Calls("def f(x): x.append(1); return len(x)", "f", [{"x": []}], repeat=3))
    assert (outcome.outcome.value, outcome.varied) == (1, False)


async def test_calls_that_answer_differently_are_marked(backend: Backend) -> None:
    code = "n = 0\ndef f():\n  global n\n  n += 1\n  return n"
    (outcome,) = await outcomes_of(backend, Calls(code, "f", [{}], repeat=2))
    assert outcome.varied


async def test_an_input_cannot_be_seen_before_its_call(backend: Backend) -> None:
    code = (
        "import gc, sys\ndef f(word):\n  frame, found = sys._getframe(), []\n"
        "  while frame: found.append(repr(frame.f_locals)); frame = frame.f_back\n"
        "  found += [repr(x) for x in gc.get_objects() if isinstance(x, (bytes, bytearray, list, dict))]\n"
        "  return 'second' + '-word' in ''.join(found) if word == 'first-word' else None"
    )
    calls = Calls(code, "f", [{"word": "first-word"}, {"word": "second-word"}])
    assert [each.outcome.value for each in await outcomes_of(backend, calls)] == [False, None]


async def test_an_answer_written_before_its_inputs_is_none(backend: Backend) -> None:
    code = """
import os, sys
def f(n):
    frame = sys._getframe()
    while 'nonce' not in frame.f_locals: frame = frame.f_back
    nonce, forged = frame.f_locals['nonce'], b'{"value": "forged"}'
    if n == 0:
        os.write(3, nonce + (12).to_bytes(4, 'big') + b'{"value": 0}')
        os.write(3, nonce + len(forged).to_bytes(4, 'big') + forged)
    return n"""
    outcomes = await outcomes_of(backend, Calls(code, "f", [{"n": n} for n in range(3)]))
    assert [each.outcome.value for each in outcomes] == [0, 1, 2]


async def test_large_inputs_and_answers_pass(backend: Backend) -> None:
    inputs: list[dict[str, JsonValue]] = [{"text": str(n) * 300_000} for n in range(3)]
    outcomes = await outcomes_of(backend, Calls("def f(text): return text", "f", inputs))
    assert [each.outcome.value for each in outcomes] == [each["text"] for each in inputs]

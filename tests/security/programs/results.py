"""Programs that give what their reader chokes on, or are themselves what their reader chokes on."""

from tests.security.program import (
    BRIEF,
    ERROR,
    KILLED,
    OK,
    OOM,
    OUTPUT_LIMIT,
    TIMEOUT,
    Limits,
    Program,
    one_of,
)

PROGRAMS = [
    Program(
        name="nesting_of_the_result",
        tries="gives lists in lists, a hundred thousand deep",
        code="""
def f(host):
    value = []
    for _ in range(100_000): value = [value]
    return value
""",
        statuses=one_of(ERROR),
    ),
    Program(
        name="result_that_holds_itself",
        tries="gives a list that holds itself",
        code="def f(host):\n    value = {}\n    value['it'] = [value]\n    return value",
        statuses=one_of(ERROR),
    ),
    Program(
        name="shared_lists",
        tries="gives ten billion items that take no memory until they are written out",
        code="""
def f(host):
    value = 0
    for _ in range(10): value = [value] * 10
    return value
""",
        statuses=one_of(OUTPUT_LIMIT, OOM, TIMEOUT),
        limits=Limits(timeout_s=2.0),
    ),
    Program(
        name="huge_integer",
        tries="gives an integer whose digits take minutes to make",
        code="def f(host): return 1 << 50_000_000",
        statuses=one_of(ERROR),
        limits=BRIEF,
    ),
    Program(
        name="huge_integer_within_the_digits",
        tries="gives an integer that readers take for another",
        code="def f(host): return 2**53 + 1",
        statuses=one_of(ERROR),
    ),
    Program(
        name="no_number",
        tries="gives what is no JSON: not a number, and infinity",
        code="def f(host): return [float('nan'), float('inf')]",
        statuses=one_of(ERROR),
    ),
    Program(
        name="half_a_character",
        tries="gives text that no encoding has",
        code="def f(host): return '\\ud800'",
        statuses=one_of(ERROR),
    ),
    Program(
        name="pickle_bomb",
        tries="gives a thing that runs code where it is unpickled",
        code="""
import os
class Bomb:
    def __reduce__(self): return os.system, ("true",)
def f(host): return Bomb()
""",
        statuses=one_of(ERROR),
    ),
    Program(
        name="pickled_bytes",
        tries="gives the pickle itself, as bytes",
        code="import pickle, os\ndef f(host): return pickle.dumps(os.getpid)",
        statuses=one_of(ERROR),
    ),
    Program(
        name="text_that_is_more",
        tries="gives a text that is more than it says",
        code="""
class Text(str):
    def __len__(self): return 0
    def encode(self, *_): return b"forged"
    def __str__(self): return "forged"
def f(host): return [Text("honest"), {Text("key"): 1}]
""",
        value=["honest", {"key": 1}],
    ),
    Program(
        name="list_without_end",
        tries="gives a list that never ends",
        code="""
class Endless(list):
    def __iter__(self):
        while True: yield 1
def f(host): return Endless()
""",
        statuses=one_of(OOM, TIMEOUT, OUTPUT_LIMIT),
        limits=BRIEF,
    ),
    Program(
        name="dictionary_that_lies",
        tries="gives a dictionary whose items are another's",
        code="""
class Lying(dict):
    def items(self): return [(1, 2), ("x",) * 3]
def f(host): return Lying(a=1)
""",
        statuses=one_of(ERROR),
    ),
    Program(
        name="names_twice",
        tries="gives one name two values",
        code="""
class Twice(dict):
    def items(self): return [("a", 1), ("a", 2)]
def f(host): return Twice(a=1)
""",
        statuses=one_of(OK, ERROR),
        value={"a": 2},
    ),
    Program(
        name="text_of_zeros",
        tries="gives and prints characters that end strings elsewhere",
        code="def f(host):\n    print('a\\0b\\x1b[2J')\n    return 'a\\0b'",
        value="a\0b",
    ),
    Program(
        name="nesting_of_the_code",
        tries="is more nested than a parser takes",
        code="x = " + "(" * 5000 + ")" * 5000,
        statuses=one_of(ERROR),
        answers=lambda response: response.error.type == "SyntaxError",
    ),
    Program(
        name="signs_of_the_code",
        tries="has a hundred thousand signs before a number",
        code="x = " + "-" * 100_000 + "1",
        statuses=one_of(ERROR, KILLED),
    ),
    Program(
        name="constants_folded",
        tries="has the compiler compute what takes for ever",
        code="def f(host): return ((2 ** 100) ** 100) * 0 + len('x' * 4096 * 4096) + 9 ** 9 ** 9",
        statuses=one_of(TIMEOUT, OOM),
        limits=BRIEF,
    ),
    Program(
        name="code_in_another_encoding",
        tries="says that it is in an encoding in which it reads otherwise",
        code="# coding: rot13\ndef f(host): return 1\n",
        value=1,
    ),
    Program(
        name="a_megabyte_of_code",
        tries="is as long as code may be",
        code="def f(host): return 1\n" + "x = {'a': [1, 2, 3]}\n" * 40_000,
        statuses=one_of(OK, OOM),
        value=1,
        limits=Limits(timeout_s=20.0, memory_bytes=512 * 1024 * 1024),
    ),
]

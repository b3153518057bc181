"""What answers of a model are taken to mean."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.proposers.llm.answers import (
    MOST_CODE_CHARACTERS,
    Answer,
    Replacement,
    WrongAnswer,
    answer_from_text,
    edited,
    programs_of,
    with_functions,
)

BASE = "import math\n\nLIMIT = 3\n\n\ndef area(r):\n    return math.pi * r\n\n\ndef half(x):\n    return x / 3\n"
AREA = "def area(r):\n    return math.pi * r * r\n"


@pytest.mark.parametrize(
    "text",
    [
        f"Here you are:\n```python\n{AREA}```\nIt was the square.",
        f"```\n{AREA}```",
        f"  ```py\n{AREA}  ```",
        f"I first thought of\n```python\nx = 1\n```\nbut\n```python\n{AREA}```",
        f"```json\n{json.dumps({'code': AREA})}\n```",
        f"Sure: {json.dumps({'name': 'area', 'code': AREA})} Bye.",
        AREA,
    ],
)
def test_code_is_found_in_what_a_model_says(text: str) -> None:
    assert answer_from_text(text).code == AREA


def test_the_prose_is_the_rationale_on_one_line() -> None:
    answer = answer_from_text(f"The area\nis\tsquare.\x1b[2J\n```python\n{AREA}```\nDone.")
    assert answer.rationale == "The area is square. [2J Done."


def test_search_and_replace_blocks_are_edits() -> None:
    answer = answer_from_text("So:\n<<<<<<< SEARCH\n    return x / 3\n=======\n    return x / 2\n>>>>>>> REPLACE\n")
    assert answer.edits == [Replacement(search="    return x / 3", replace="    return x / 2")]
    assert programs_of(answer, BASE, ["area", "half"]) == [BASE.replace("x / 3", "x / 2")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("I cannot help with that.", "holds no code"),
        ("```python\ndef area(r:\n```", "no valid Python"),
        ("```rust\nfn area() {}\n```", "holds no code"),
        ("", "holds no code"),
        (f"```python\nx = '{'a' * MOST_CODE_CHARACTERS}'\n```", "longer than"),
        ('{"code": 1}', "holds no code"),
    ],
)
def test_what_holds_no_program_is_said_so(text: str, fault: str) -> None:
    with pytest.raises(WrongAnswer, match=fault):
        answer_from_text(text)


def test_an_edit_is_of_one_place() -> None:
    assert edited(BASE, [Replacement(search="x / 3", replace="x / 2")]).count("x / 2") == 1
    for search in ("return", "nowhere", "", "\n"):
        with pytest.raises(WrongAnswer, match="found"):
            edited(BASE, [Replacement(search=search, replace="")])


def test_functions_replace_those_of_the_same_name_and_the_rest_stays() -> None:
    merged = with_functions(
        BASE, "import itertools\n\n\ndef area(r):\n    return twice(r)\n\n\ndef twice(x):\n    return 2 * x\n"
    )
    scope: dict[str, object] = {}
    exec(merged, scope)
    assert (scope["area"](4), scope["half"](3), scope["LIMIT"]) == (8, 1.0, 3)  # type: ignore[operator]
    assert "itertools" in scope


def test_a_decorated_function_is_replaced_with_its_decorators() -> None:
    base = "import functools\n\n\n@functools.cache\ndef f(n):\n    return n\n"
    assert with_functions(base, "def f(n):\n    return n + 1\n").count("functools.cache") == 0


def test_edits_are_found_in_a_program_whatever_ends_its_lines() -> None:
    base = "def f(x):\r\n    y = x\r\n    return y\r\n"
    for end in ("\n", "\r\n"):
        edit = Replacement(search=f"    y = x{end}    return y", replace=f"    x += 1{end}    return x")
        assert edited(base, [edit]) == "def f(x):\n    x += 1\n    return x\n"


@pytest.mark.parametrize(
    ("base", "code", "program"),
    [
        ("X = 1\ndef f():\n    return X\n", "X = 2\n", "X = 2\ndef f():\n    return X\n\n"),
        ("X: int = 1\ny = 3\n", "X = (\n    2\n)\n", "X = (\n    2\n)\ny = 3\n\n"),
        ("X = 1; y = 3\n", "X = 2\n", "X = 2\nX = 1; y = 3\n\n"),
        ("x, y = 1, 2\n", "x = 3\n", "x = 3\nx, y = 1, 2\n\n"),
        (
            '"""Sums."""\nfrom __future__ import annotations\nX = 1\n',
            "import math\nX = math.pi\n",
            '"""Sums."""\nfrom __future__ import annotations\nimport math\nX = math.pi\n\n',
        ),
    ],
)
def test_what_is_assigned_is_replaced_where_it_was_and_imports_stand_where_they_may(
    base: str, code: str, program: str
) -> None:
    assert with_functions(base, code) == program


def test_a_form_feed_ends_no_line() -> None:
    base = "x = 1\n\x0c\ndef f():\n    return 1\n"
    scope: dict[str, object] = {}
    exec(with_functions(base, "def f():\n    return 2\n"), scope)
    assert scope["f"]() == 2  # type: ignore[operator]


def test_whole_programs_and_functions_alone_are_both_tried() -> None:
    programs = programs_of(Answer(code=AREA), BASE, ["area"])
    assert programs == [AREA, with_functions(BASE, AREA)]
    assert programs_of(Answer(code=AREA), BASE, ["area", "half"]) == [with_functions(BASE, AREA)]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(), "neither edits nor code"),
        (Answer(code="# to be done\n"), "no code"),
        (Answer(code="def other():\n    return 1\n"), "has to define `f`"),
        (Answer(code="def f(:\n"), "no valid Python: line 1"),
        (Answer(code="def f():\n" + "    " * 200 + "x" + "(" * 300 + ")" * 300 + "\n"), "no valid Python"),
    ],
)
def test_a_program_has_to_be_one(answer: Answer, fault: str) -> None:
    with pytest.raises(WrongAnswer, match=fault):
        programs_of(answer, "", ["f"])


def test_an_entry_point_may_be_bound_in_any_way() -> None:
    for code in ("f = lambda: 1\n", "from math import floor as f\n", "class f:\n    pass\n"):
        assert programs_of(Answer(code=code), "", ["f"]) == [code]


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_means_a_program_or_is_refused(text: str, base: str) -> None:
    try:
        programs = programs_of(answer_from_text(text), base, [])
    except WrongAnswer:
        return
    for code in programs:
        compile(code, "<answer>", "exec")


@pytest.mark.parametrize(
    "piece",
    ["<<<<<<< SEARCH\n", "```\n", "```python\n", "{", "<<<<<<< SEARCH\n=======\n", "=======\n", "a.b\n", "((\n"],
)
def test_a_hostile_text_is_read_in_one_pass(piece: str) -> None:
    started = time.process_time()
    with pytest.raises(WrongAnswer):
        programs_of(answer_from_text(piece * (1_000_000 // len(piece))), "", ["f"])
    assert time.process_time() - started < 20

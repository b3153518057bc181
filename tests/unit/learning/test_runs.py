"""What an agent may ask a skill, and what comes back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.registry import Skill, SkillVersion
from autodev_learning.skills.runs import RunRequest, call_of, execution_id_of, share_of, version_shown, version_to_run
from autodev_learning.skills.skill_harness import MAX_LITERAL_CHARACTERS, run_skill
from autodev_runtime.errors import InvalidArgument

VERSION = SkillVersion(
    "1.0.0", "", "", "", "c", Provenance(), (), ("total", "helper"), "", "", datetime(2026, 3, 1, tzinfo=UTC)
)


def request(call: str | None = None, **inputs: object) -> RunRequest:
    return RunRequest("r", "s", "a", call, inputs, "", 1.0)


def test_a_call_is_run_as_it_stands() -> None:
    assert call_of(request("total([1, 2])"), VERSION) == "total([1, 2])"


@pytest.mark.parametrize("call", ["", "import os", "total(", "x = 1", "(" * 1000, "-" * 16_000 + "1"])
def test_a_call_that_is_no_expression_is_refused(call: str) -> None:
    with pytest.raises(InvalidArgument):
        call_of(request(call), VERSION)


def test_inputs_become_a_call_of_the_first_entry_point() -> None:
    call = call_of(request(values=[1, 2.5, None, {"a": "'"}], strict=True), VERSION)
    assert call == "total(strict=True, values=[1, 2.5, None, {'a': \"'\"}])"


@pytest.mark.parametrize("name", ["a b", "class", "", "x=1)#"])
def test_inputs_whose_names_are_no_arguments_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        call_of(RunRequest("r", "s", "a", None, {name: 1}, "", 1.0), VERSION)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_inputs_reach_the_skill_as_they_were_given(value: object) -> None:
    call = call_of(request(values=value), VERSION)
    assert run_skill("", "def total(values):\n    return [values]\n", call)["literal"] == repr([value])


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("total([1])", "1.0.0"),
        (" helper(x=total([1])) ", "1.0.0"),
        ("total(3).real.bit_length()", ""),
        ("total(3).bit_length()", "1.0.0"),
        ("1", ""),
        ("1 or total([1])", ""),
        ("(lambda: total)()([1])", ""),
        ("print(total([1]))", ""),
        ("total", ""),
        ("total(", ""),
    ],
)
def test_only_a_call_of_an_entry_point_says_something_of_a_version(call: str, shown: str) -> None:
    assert version_shown(call, VERSION) == shown


def test_the_canary_share_is_the_same_each_time_and_even() -> None:
    shares = [share_of(f"request-{n}") for n in range(2000)]
    assert shares == [share_of(f"request-{n}") for n in range(2000)]
    assert 0.15 < sum(share < 0.2 for share in shares) / len(shares) < 0.25


def test_a_skill_on_trial_gives_the_canary_its_share_of_the_requests() -> None:
    skill = Skill("s", "total", "", "a", VERSION.created_at, VERSION, replace(VERSION, version="1.1.0"))
    ran = [version_to_run(skill, f"request-{n}", 0.2).version for n in range(1000)]
    assert 150 < ran.count("1.1.0") < 250
    assert ran.count("1.0.0") == 1000 - ran.count("1.1.0")
    assert version_to_run(replace(skill, canary=None), "request-0", 1.0) is VERSION


def test_a_run_has_the_id_of_its_request() -> None:
    assert execution_id_of("x" * 128) == execution_id_of("x" * 128) != execution_id_of("y")
    assert len(execution_id_of("x" * 128)) <= 128


def test_a_value_that_json_has_comes_back_twice() -> None:
    assert run_skill("", "def f():\n    return {'a': (1, 2.5, None)}\n", "f()") == {
        "literal": "{'a': (1, 2.5, None)}",
        "value": {"a": [1, 2.5, None]},
    }


@pytest.mark.parametrize("value", ["{1, 2}", "1 + 2j", "2**60", "float('inf')", "{1: 2}", "'\\ud800'", "[0] * 30_000"])
def test_a_value_that_json_lacks_or_that_is_large_comes_back_as_a_literal(value: str) -> None:
    answer = run_skill("", "", value)
    assert "value" not in answer
    assert str(answer["literal"]).encode()
    assert len(str(answer["literal"])) <= MAX_LITERAL_CHARACTERS


def test_a_skill_sees_the_names_of_its_preamble() -> None:
    assert run_skill("RATE = 3", "def f():\n    return RATE\n", "f() + RATE")["value"] == 6

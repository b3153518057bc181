"""Workflows made of others by one structural change."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.workflows.definition import fault_of, steps_of
from autodev_learning.workflows.edits import all_edits
from autodev_learning.workflows.mutation import Mutation, identity, mutate
from autodev_learning.workflows.seen import leaves
from autodev_runtime.errors import FailedPrecondition, InvalidArgument

EDITS = tuple(all_edits())
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-50, 50), st.floats(-9, 9), st.sampled_from(["a", "b"]))
PARAMETERS = st.dictionaries(
    st.sampled_from(["limit", "mode"]), st.one_of(VALUES, st.dictionaries(st.sampled_from(["x"]), VALUES)), max_size=2
)


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    """Valid ones: of few tools, so that relatives have steps alike; some steps with ids and needs."""
    steps: list[dict[str, Any]] = []
    chance = st.booleans()
    for number in range(draw(st.integers(1, 5))):
        step: dict[str, Any] = {"tool": draw(st.sampled_from(["search", "sum", "send"]))}
        if draw(chance):
            step["parameters"] = draw(PARAMETERS)
        earlier = [each["id"] for each in steps if "id" in each]
        if draw(chance) and earlier:
            step["needs"] = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2))
        if draw(chance):
            step["id"] = f"s{number}"
        steps.append(step)
    return {"steps": steps, "note": draw(st.text(max_size=3))}


def named(*tools: str, **parameters: Any) -> dict[str, Any]:
    return {"steps": [{"tool": tool, "parameters": parameters} for tool in tools]}


def tools(workflow: Any) -> list[str]:
    return [step["tool"] for step in steps_of(workflow)]


def mutated(
    workflow: dict[str, Any], mate: dict[str, Any] | None, relatives: list[dict[str, Any]], seed: int, edit: str
) -> Mutation | None:
    """What comes of it; None where nothing can."""
    try:
        return mutate(workflow, mate, relatives, seed, edit)
    except FailedPrecondition as error:
        if error.reason != "NO_MUTATION":
            raise
        return None


@given(workflows(), workflows(), st.lists(workflows(), max_size=3), st.integers(), st.sampled_from(("", *EDITS)))
def test_what_comes_of_it_is_valid_differs_from_all_and_is_the_same_again(
    workflow: dict[str, Any], mate: dict[str, Any], relatives: list[dict[str, Any]], seed: int, edit: str
) -> None:
    assert fault_of(workflow) == ""
    before = copy.deepcopy((workflow, mate, relatives))
    made = mutated(workflow, mate, relatives, seed, edit)
    if made is None:
        return
    assert fault_of(made.workflow) == ""
    assert identity(made.workflow) not in {identity(each) for each in (workflow, mate, *relatives)}
    assert made == mutate(workflow, mate, relatives, seed, edit)
    assert made.edit == edit or not edit
    assert made.detail
    assert made.workflow["note"] == workflow["note"]
    assert (workflow, mate, relatives) == before, "its material was changed"


@given(workflows(), st.lists(workflows(), max_size=4), st.integers())
def test_parameters_stay_within_what_was_seen(
    workflow: dict[str, Any], relatives: list[dict[str, Any]], seed: int
) -> None:
    made = mutated(workflow, None, relatives, seed, "parameter")
    if made is None:
        return
    seen: dict[Any, list[Any]] = {}
    for each in (workflow, *relatives):
        for step in steps_of(each):
            for path, value in leaves(step):
                seen.setdefault((step["tool"], path), []).append(value)
    for step in steps_of(made.workflow):
        for path, value in leaves(step):
            known = seen[step["tool"], path]
            numbers = [each for each in known if isinstance(each, int | float) and not isinstance(each, bool)]
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert min(numbers) <= value <= max(numbers)
            else:
                assert value in known


@given(workflows(), st.integers())
def test_a_dropped_step_is_gone_and_a_duplicated_one_is_there_twice(workflow: dict[str, Any], seed: int) -> None:
    steps = len(steps_of(workflow))
    for edit, expected in (("drop", steps - 1), ("duplicate", steps + 1), ("swap", steps)):
        made = mutated(workflow, None, [], seed, edit)
        if made is None:
            # The last step cannot be dropped; steps alike are none when swapped.
            assert edit != "duplicate"
            continue
        assert len(steps_of(made.workflow)) == expected


def test_each_edit_says_what_it_did() -> None:
    two = named("search", "send", limit=1)
    assert mutate(two, None, [], 1, "drop").detail in ("step 1 (search) dropped", "step 2 (send) dropped")
    assert mutate(two, None, [], 1, "swap").detail == "step 1 (search) and step 2 (send) swapped"
    assert tools(mutate(two, None, [], 1, "swap").workflow) == ["send", "search"]
    crossed = mutate(named("a", "b"), named("c", "d"), [], 1, "crossover")
    assert crossed.detail.startswith("steps 1 to ")
    assert tools(crossed.workflow)[0] == "a"
    assert tools(crossed.workflow)[-1] == "d"
    changed = mutate(named("search", limit=1), None, [named("search", limit=9)], 1, "parameter")
    assert changed.detail.startswith("step 1 (search): limit 1 -> ")


def test_what_needed_a_dropped_step_needs_what_that_needed() -> None:
    line = {
        "steps": [
            {"tool": "a", "id": "a"},
            {"tool": "b", "id": "b", "needs": ["a"]},
            {"tool": "c", "needs": ["b", "a"]},
        ]
    }
    made = [mutate(line, None, [], seed, "drop").workflow for seed in range(30)]
    without_b = next(each for each in made if tools(each) == ["a", "c"])
    assert steps_of(without_b)[1]["needs"] == ["a"]


def test_a_swap_never_puts_a_step_before_what_it_needs() -> None:
    line = {"steps": [{"tool": "a", "id": "a"}, {"tool": "b", "needs": ["a"]}]}
    with pytest.raises(FailedPrecondition) as caught:
        mutate(line, None, [], 0, "swap")
    assert caught.value.reason == "NO_MUTATION"


def test_a_parameter_that_was_only_ever_one_thing_stays() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        mutate(named("search", limit=1), None, [named("other", limit=9)], 0, "parameter")
    assert caught.value.reason == "NO_MUTATION"


@pytest.mark.parametrize(
    ("workflow", "fault"),
    [
        ({}, "it has no list of steps"),
        ({"steps": []}, "it has no list of steps"),
        ({"steps": "one"}, "it has no list of steps"),
        ({"steps": [{"tool": "a"}] * 101}, "it has more than 100 steps"),
        ({"steps": ["a"]}, "step 1 is no object"),
        ({"steps": [{"tool": "a"}, {"tool": ""}]}, "step 2 names no tool"),
        ({"steps": [{"tool": "a", "parameters": []}]}, "step 1 has parameters that are no object"),
        ({"steps": [{"tool": "a", "id": "x"}, {"tool": "a", "id": "x"}]}, "step 2 has an id that is empty or another"),
        ({"steps": [{"tool": "a", "needs": ["b"]}, {"tool": "b", "id": "b"}]}, "step 1 needs what is no step before"),
        ({"steps": [{"tool": "a", "needs": [["b"]]}]}, "step 1 needs what is no step before"),
    ],
)
def test_what_is_no_workflow_of_steps_is_not_mutated(workflow: dict[str, Any], fault: str) -> None:
    assert fault_of(workflow).startswith(fault)
    for ours, mate in ((workflow, None), (named("a"), workflow)):
        with pytest.raises(FailedPrecondition, match="step") as caught:
            mutate(ours, mate, [], 0, "")
        assert caught.value.reason == "INVALID_WORKFLOW"


def test_an_edit_that_there_is_not_is_named() -> None:
    for edit, mate, field in (("melt", None, "workflow_mutation.edit"), ("crossover", None, "workflow_mutation.mate_")):
        with pytest.raises(InvalidArgument) as caught:
            mutate(named("a"), mate, [], 0, edit)
        assert caught.value.violations[0].field.startswith(field)

"""Another workflow by one structural change, chosen by a seed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from autodev_learning.workflows.definition import Workflow, fault_of
from autodev_learning.workflows.edits import Change, Edit, Material, all_edits
from autodev_learning.workflows.seen import SeenParameters
from autodev_runtime.errors import FailedPrecondition, InvalidArgument

MOST_BYTES = 60_000
"""A little less than a Struct may hold: it is written in other bytes than JSON is."""
MOST_TRIED = 200
"""Of one edit."""
MOST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Mutation:
    """A workflow that differs from all that it was made of. `detail` says in words what was done."""

    workflow: Workflow
    edit: str
    detail: str


def mutate(workflow: Workflow, mate: Workflow | None, relatives: Sequence[Workflow], seed: int, edit: str) -> Mutation:
    """Change a workflow by one edit: the named one, or (empty) any; the same arguments always give the same.

    The result is valid, and differs from the workflow, its mate and the relatives, of which those that are no valid
    workflows say nothing. Raises InvalidArgument (an edit that there is not), FailedPrecondition (INVALID_WORKFLOW,
    NO_MUTATION).
    """
    for each in (workflow, mate):
        if each is not None and (fault := fault_of(each)):
            raise FailedPrecondition(f"no workflow that can be mutated: {fault}", reason="INVALID_WORKFLOW")
    known = [workflow, *([mate] if mate is not None else []), *(each for each in relatives if not fault_of(each))]
    seen = {identity(each) for each in known}
    random = Random(seed)
    material = Material(workflow, mate, SeenParameters(known))
    edits = _chosen(edit, mate)
    for name in random.sample(sorted(edits), len(edits)):
        for change in islice(edits[name].changes(material, random), MOST_TRIED):
            if _is_fit(change, seen):
                return Mutation(change.workflow, name, change.detail[:MOST_DETAIL])
    raise FailedPrecondition("no change gives a valid workflow that is not there already", reason="NO_MUTATION")


def identity(workflow: Workflow) -> str:
    """The same text for the same workflow: the order of names is no difference, and 1 is 1.0."""
    return json.dumps(_with_one_kind_of_number(workflow), sort_keys=True)


def _with_one_kind_of_number(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _with_one_kind_of_number(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_one_kind_of_number(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _chosen(edit: str, mate: Workflow | None) -> Mapping[str, Edit]:
    edits = all_edits()
    if edit:
        if edit not in edits:
            raise InvalidArgument.field("workflow_mutation.edit", f"must be one of {', '.join(edits)}")
        if edit == "crossover" and mate is None:
            raise InvalidArgument.field("workflow_mutation.mate_variant_id", "is required for a crossover")
        return {edit: edits[edit]}
    return edits


def _is_fit(change: Change, seen: set[str]) -> bool:
    if fault_of(change.workflow):
        return False
    text = identity(change.workflow)
    return len(text.encode()) <= MOST_BYTES and text not in seen

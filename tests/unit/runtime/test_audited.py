"""What of requests and answers the audit log keeps: what is marked, and nothing else."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.gateway.v1 import key_service_pb2 as keys
from autodev.learning.v1 import review_service_pb2 as reviews
from autodev.options.v1.rules_pb2 import rules
from autodev_runtime.access import Effect, access_to
from autodev_runtime.audited import audited_values
from docs.build_access import methods

DECISIONS = [method for method in methods() if access_to(method).effect is Effect.DECISION]
NEVER = ("code", "text", "reason", "secret", "diff", "evidence", "description")
"""Words in the names of fields that hold what nobody should find in the log."""


@pytest.mark.parametrize("method", DECISIONS, ids=lambda method: method.full_name.removeprefix("autodev."))
def test_of_every_decision_it_is_kept_what_it_was_about(method: MethodDescriptor) -> None:
    kept = [field for field in method.input_type.fields if field.GetOptions().Extensions[rules].audited]
    assert kept, "a field of the request must be audited"
    for field in kept:
        assert not any(word in field.name for word in NEVER)
        inside = field.message_type.fields if field.message_type is not None else ()
        assert not any(word in each.name for each in inside for word in NEVER)


def test_what_is_not_marked_is_not_kept() -> None:
    request = reviews.ApproveReviewRequest(review_id="r-1", reason="because")
    assert audited_values(request) == {"review_id": "r-1"}
    answer = keys.CreateKeyResponse(key=keys.ApiKey(id="k-1", subject="bob"), text="ad_secret")
    assert audited_values(answer) == {"key": {"id": "k-1"}}
    assert audited_values(reviews.ApproveReviewResponse(review=reviews.Review(id="r-1", code="x = 1"))) == {}


def test_of_a_message_that_is_marked_all_is_kept_by_names_and_words() -> None:
    settings = capability.WorkspaceSettings(enabled=True, max_mutations_per_day=7, proposers=["a", "b"])
    request = capability.UpdateWorkspaceSettingsRequest(settings=settings)
    assert audited_values(request) == {
        "settings": {"enabled": True, "max_mutations_per_day": 7, "proposers": ["a", "b"]}
    }
    created = keys.CreateKeyRequest(roles=[1, 99])  # type: ignore[list-item]
    created.lifetime.seconds = 60
    assert audited_values(created) == {"roles": ["ROLE_RUNTIME", 99], "lifetime": "60s"}


def test_loose_data_is_never_kept() -> None:
    variant = fitness.WorkflowVariant(id="v-1", fitness_score=0.5)
    variant.workflow_definition["x"] = "y"
    assert audited_values(variant, all_fields=True) == {"id": "v-1", "fitness_score": "0.5"}

"""Every RPC says who may call it, and the page of access says the same."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from autodev_runtime.access import Effect, access_to
from autodev_runtime.identity import Role
from docs.build_access import NOTES, PAGE, methods, page
from tests.contract.messages import FILES


def test_the_page_is_what_the_contracts_say() -> None:
    assert PAGE.read_text() == page(), "run `make access-page`"


def test_notes_are_about_rpcs_that_exist() -> None:
    assert set(NOTES) <= {f"{method.containing_service.name}.{method.name}" for method in methods()}


def test_every_contract_with_rpcs_is_fuzzed() -> None:
    assert {method.containing_service.file.name for method in methods()} == set(FILES)


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.full_name.removeprefix("autodev."))
def test_every_rpc_says_what_it_does_and_who_may_call_it(method: MethodDescriptor) -> None:
    access = access_to(method)
    assert access.effect is not Effect.UNSTATED, f"{method.full_name} does not state its access: see access.proto"
    if access.effect is Effect.DECISION:
        # The audit log keeps two entries of each for ever: a key without a role could fill it.
        assert access.role in (Role.REVIEWER, Role.OPERATOR)
        # One answer to one request, so that both are in the record.
        assert not method.client_streaming
        assert not method.server_streaming
    if method.name.startswith(("Get", "List")) and method.name != "GetGuidance":
        assert access.effect is Effect.READ

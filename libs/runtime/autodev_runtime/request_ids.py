"""Ids that make a call safe to repeat: no caller reaches what a service asked for, and each stands for one request.

A service's id is kept as it stated it, and can often be guessed. A caller's is kept by its digest behind a sign that no
identifier holds.
"""

import hashlib
from typing import NamedTuple

from autodev_runtime.errors import FailedPrecondition
from autodev_runtime.identity import Role, current_identity

REUSED = "REQUEST_ID_REUSED"


class RequestId(NamedTuple):
    """The id to keep a request by, and the one that a release before this kept it by."""

    kept: str
    formerly: str


def request_id(stated: str) -> RequestId:
    """The id of the current caller's request."""
    if Role.SERVICE in current_identity().roles:
        return RequestId(stated, stated)
    return RequestId(f"~{hashlib.sha256(stated.encode()).hexdigest()}", stated)


def reused() -> FailedPrecondition:
    """What who asks for something else by the id of an earlier request is told."""
    return FailedPrecondition("the request_id was given with other arguments: give each request its own", reason=REUSED)

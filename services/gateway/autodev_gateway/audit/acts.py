"""Writes what services decided by themselves into the audit log: by the events that say so, before these can be read.

A service writes such an event in one transaction with what it did, and relays it until it is acknowledged. So each act
has its entry, whichever process ends when; and one only, by the event's id.
"""

from collections.abc import Sequence
from typing import Any

from autodev.gateway.v1 import event_pb2
from autodev_gateway.audit.log import AuditLog
from autodev_gateway.event_log import Draft
from autodev_gateway.identity.issued import now_us
from autodev_runtime.audited import audited_values
from autodev_runtime.identity import Identity

_AUTOMATIC = {
    field.number: field.name
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None and "automatic" in field.message_type.fields_by_name
}
"""Payloads that can be of something that nobody decided. Only services may publish them (`publishing`)."""


class ActRecorder:
    """The record of what services publish."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def record(self, drafts: Sequence[Draft], publisher: Identity) -> None:
        """Write down which of the events say that their publisher acted by itself. Raises Unavailable."""
        for draft in drafts:
            if draft.type not in _AUTOMATIC:
                continue
            name = _AUTOMATIC[draft.type]
            payload = getattr(event_pb2.Event.FromString(draft.body), name)
            if payload.automatic:
                await self._log.acted(draft.tenant, draft.event_id, _facts(name, payload, publisher), now_us())


def _facts(name: str, payload: Any, publisher: Identity) -> dict[str, Any]:
    return {"by": publisher.subject, "event": name, "values": audited_values(payload)}

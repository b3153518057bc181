"""AuditService: the audit log, page by page."""

import json
from typing import Any

from autodev.gateway.v1 import audit_service_pb2 as pb
from autodev.gateway.v1 import audit_service_pb2_grpc
from autodev_gateway.audit.log import ACT, DECISION, OUTCOME, AuditLog, StoredEntry
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import key_from, page_of, page_size

_KINDS = {DECISION: pb.AUDIT_KIND_DECISION, OUTCOME: pb.AUDIT_KIND_OUTCOME, ACT: pb.AUDIT_KIND_ACT}


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """Serves the caller's tenant."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def ListAuditEntries(self, request: pb.ListAuditEntriesRequest, context: Any) -> pb.ListAuditEntriesResponse:
        """A page of entries."""
        tenant = require_role(Role.OPERATOR).tenant
        key, size = key_from(request.page_token, int), page_size(request.page_size)
        if request.order == pb.AUDIT_ORDER_OLDEST_FIRST:
            found = await self._log.after(tenant, int(key[0]) if key else 0, size + 1)
        else:
            found = await self._log.before(tenant, int(key[0]) if key else None, size + 1)
        entries, token = page_of(found, size, _to_proto, lambda last: [last.number])
        return pb.ListAuditEntriesResponse(entries=entries, next_page_token=token)


def _to_proto(stored: StoredEntry) -> pb.AuditEntry:
    facts = json.loads(stored.content)
    entry = pb.AuditEntry(
        number=stored.number,
        kind=_KINDS[facts["kind"]],
        subject=facts.get("by", ""),
        credential=facts.get("credential", ""),
        roles=facts.get("roles", ()),
        rpc=facts.get("rpc", ""),
        request_sha256=facts.get("request_sha256", ""),
        decision=facts.get("decision", 0),
        status=facts.get("status", ""),
        canonical=stored.content,
        hash=stored.hash,
        event_id=facts.get("event_id", ""),
        event=facts.get("event", ""),
    )
    entry.recorded_at.FromMicroseconds(facts["at_us"])
    entry.values.update(facts.get("values", {}))
    return entry

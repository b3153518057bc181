"""Writes the decisions that come in by the clients' door into the audit log, and says of lost ones that they are."""

import asyncio
import hashlib
import logging

from google.protobuf.message import Message

from autodev_gateway.audit.log import AuditLog
from autodev_gateway.identity.issued import now_us
from autodev_runtime.audited import audited_values
from autodev_runtime.errors import AutoDevError
from autodev_runtime.identity import Caller
from autodev_runtime.recording import Decision, Recorder

logger = logging.getLogger(__name__)

RECOVERY_PERIOD_S = 30.0
UNFINISHED_AFTER_S = 300.0


class AuditRecorder(Recorder):
    """The record of one gateway's callers."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def begin(self, decision: Decision) -> int:
        """Write a decision down. Raises Unavailable where that cannot be done."""
        by = decision.by
        facts = {
            "by": by.subject,
            "credential": by.credential if isinstance(by, Caller) else "",
            "roles": sorted(by.roles),
            "rpc": decision.rpc,
            "request_sha256": hashlib.sha256(decision.content).hexdigest(),
            "values": audited_values(decision.request),
        }
        return await self._log.decided(by.tenant, facts, now_us())

    async def end(self, decision: Decision, number: int, status: str, answer: Message | None) -> None:
        """Write down how it ended. Where that cannot be done, `run` says later that it is not known."""
        facts = {"status": status, "values": audited_values(answer) if answer is not None else {}}
        try:
            await self._log.ended(decision.by.tenant, number, facts, now_us())
        except AutoDevError as error:
            logger.warning("the outcome of audit entry %d was not written: %s", number, error)

    async def run(self) -> None:
        """Say of decisions that were never finished that they were not; for ever."""
        while True:
            try:
                await self._log.recover(now_us() - int(UNFINISHED_AFTER_S * 1_000_000), now_us())
            except AutoDevError as error:
                logger.warning("unfinished decisions have to wait: %s", error)
            await asyncio.sleep(RECOVERY_PERIOD_S)

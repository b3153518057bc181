"""What retention has deleted before a reader came to it.

A tenant's own subscriber is refused there (OUT_OF_RANGE) and told where to go on. A reader of all tenants is not: what
is gone of one tenant's is no reason to keep the others' from it, or to have it pass them by. It is told of each tenant
whose events are gone, once, before whatever comes after them. Of a consumer group the operator is told (decision 0042).
"""

from collections.abc import Mapping

from autodev_gateway.event_log.model import Trims


class Gaps:
    """One reader's. It only ever reads on."""

    def __init__(self, trims: Trims, tenant: str, from_start: int | None = None) -> None:
        """`from_start`: where a reader begins that wants what is kept, and so misses nothing of what is not."""
        self._trims = trims
        self._tenant = tenant
        self._told: dict[str, int] = {}
        self._revision = -1
        if from_start is not None:
            self.after(from_start)

    def after(self, position: int) -> Mapping[str, int]:
        """Up to where events after a position may be gone, by tenant, as far as the reader was not told.

        To be asked after the read from that position: who deletes says so before it does.
        """
        if self._revision == self._trims.revision:
            return {}
        self._revision = self._trims.revision
        found = self._trims.past(self._tenant, position)
        fresh = {tenant: seq for tenant, seq in found.items() if seq > self._told.get(tenant, 0)}
        # What is not past this position is past none that follows.
        self._told = found
        return fresh

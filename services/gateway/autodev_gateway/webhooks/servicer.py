"""WebhookService: protobuf to the webhooks that were given up, and back."""

import time
from typing import Any, cast

from autodev.fitness.v1.fitness_service_pb2 import EvaluateDelayedWebhookRequest
from autodev.gateway.v1 import webhook_service_pb2 as pb
from autodev.gateway.v1 import webhook_service_pb2_grpc
from autodev_gateway.webhooks.dead_store import Chosen, DeadWebhook, DeadWebhooks, Place
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import key_from, page_of, page_size


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Serves the caller's tenant."""

    def __init__(self, dead: DeadWebhooks) -> None:
        self._dead = dead

    async def ListDeadWebhooks(self, request: pb.ListDeadWebhooksRequest, context: Any) -> pb.ListDeadWebhooksResponse:
        """A page of dead webhooks."""
        tenant = require_role(Role.OPERATOR).tenant
        key, size = key_from(request.page_token, int, str, str), page_size(request.page_size)
        after = cast(Place, tuple(key)) if key else None
        found = await self._dead.page(tenant, request.source, after, size + 1)
        webhooks, token = page_of(found, size, _to_proto, lambda last: last.place)
        return pb.ListDeadWebhooksResponse(dead_webhooks=webhooks, next_page_token=token)

    async def ReplayDeadWebhooks(
        self, request: pb.ReplayDeadWebhooksRequest, context: Any
    ) -> pb.ReplayDeadWebhooksResponse:
        """Have dead webhooks passed on again."""
        tenant = require_role(Role.OPERATOR).tenant
        ids = [_name(each, index) for index, each in enumerate(request.dead_webhook_ids)] or None
        done = await self._dead.replay(tenant, Chosen(request.source, ids), time.time_ns() // 1000)
        return pb.ReplayDeadWebhooksResponse(replayed=done.replayed, remaining=done.remaining)


def _name(identifier: str, index: int) -> tuple[str, str]:
    # Sources hold no colon, and senders' ids may.
    source, colon, webhook_id = identifier.partition(":")
    if not (source and colon and webhook_id):
        raise InvalidArgument.field(f"dead_webhook_ids[{index}]", "must be <source>:<webhook-id>")
    return source, webhook_id


def _to_proto(dead: DeadWebhook) -> pb.DeadWebhook:
    call = EvaluateDelayedWebhookRequest.FromString(dead.call)
    message = pb.DeadWebhook(
        id=f"{dead.source}:{dead.webhook_id}",
        source=dead.source,
        webhook_id=dead.webhook_id,
        type=call.signals[0].WhichOneof("kind") or "",
        variant_id=call.variant_id,
        attempts=dead.attempts,
        error=dead.error,
    )
    message.received_at.FromMicroseconds(dead.received_us)
    message.dead_at.FromMicroseconds(dead.dead_us)
    return message

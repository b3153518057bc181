"""A sender of webhooks, and the file that lets it in."""

import json
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from autodev_gateway.webhooks.signature import secret_from, signature_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@dataclass(frozen=True)
class Reply:
    """An answer to a webhook."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return str(self.body["error"]["reason"])


def allow(path: Path, **sources: tuple[str, list[str]]) -> Path:
    """Write the file of sources: names to a tenant and secrets. As an operator does it: another file in its place."""
    lines = {name: {"tenant": tenant, "secrets": secrets} for name, (tenant, secrets) in sources.items()}
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(lines))
    os.replace(fresh, path)
    return path


def body_of(kind: str, variant_id: str, **data: Any) -> bytes:
    """A webhook's body."""
    return json.dumps({"type": kind, "data": {"variant_id": variant_id, **data}}).encode()


def headers_of(body: bytes, webhook_id: str, *secrets: str, at_s: float | None = None) -> dict[str, str]:
    """The headers of a webhook, signed by each secret."""
    timestamp = str(int(time.time() if at_s is None else at_s))
    signatures = (signature_of(secret_from(secret), webhook_id, timestamp, body) for secret in secrets)
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


@dataclass(frozen=True)
class Sender:
    """One source, which sends as the specification says."""

    session: aiohttp.ClientSession
    address: str
    """`http://127.0.0.1:8080`"""
    source: str = "crm"
    secret: str = SECRET

    async def send(self, body: bytes, webhook_id: str = "", **headers: str) -> Reply:
        """Send a webhook, with these headers in place of the right ones."""
        signed = headers_of(body, webhook_id or uuid.uuid4().hex, self.secret)
        return await self.post(body, {**signed, **{name.replace("_", "-"): value for name, value in headers.items()}})

    async def post(self, body: Any, headers: dict[str, str]) -> Reply:
        """Send something."""
        async with self.session.post(f"{self.address}/webhooks/{self.source}", data=body, headers=headers) as answer:
            return Reply(answer.status, await answer.json(), dict(answer.headers))

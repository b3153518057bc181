"""Transactions that decide by what they read take turns."""

import hashlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_runtime.database import dialect_of


async def take_turn(session: AsyncSession, *names: str) -> None:
    """Wait until no other transaction holds the turn of these names, and hold it until this one ends.

    On SQLite a transaction that writes is the only one anyway.
    """
    if dialect_of(session).is_sqlite:
        return
    key = hashlib.sha256("\0".join((str(session.info["tenant"]), *names)).encode()).digest()[:8]
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": int.from_bytes(key, signed=True)})

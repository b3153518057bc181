"""How to reach NATS."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """Where the servers are, who we are to them, and the stream."""

    urls: Sequence[str]
    stream: str
    replicas: int
    max_event_bytes: int
    credentials_file: Path | None = field(default=None, repr=False)
    """One line, `user:password` or a token; or a NATS credentials file, JWT and seed. Read for each connection."""
    ca_file: Path | None = None
    """PEM of who must have signed the servers' certificates; None: no TLS, unless a URL says `tls:`.

    A server that does not speak TLS then is refused.
    """
    monitor_urls: Sequence[str] = ()
    """Where the servers' monitoring answers, to see that they sync every write."""

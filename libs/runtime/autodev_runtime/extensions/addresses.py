"""Where extensions are, as an operator writes it: `acme.cost=127.0.0.1:7001,acme.risk=tls://risk.example:443`."""

import re
from typing import Any

from autodev_sdk.addresses import is_loopback

TLS = "tls://"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MOST = 32


def parse_pairs(text: Any) -> Any:
    """`name=value` pairs between commas, by name; anything but text is left for pydantic to refuse."""
    if not isinstance(text, str):
        return text
    pairs: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, sign, value = part.partition("=")
        if not sign or not value.strip() or not NAME.fullmatch(name.strip()):
            raise ValueError(f"{part!r} is not name=value, the name of letters, digits, '.', '_' and '-'")
        if name.strip() in pairs:
            raise ValueError(f"{name.strip()!r} is stated twice")
        pairs[name.strip()] = value.strip()
    if len(pairs) > MOST:
        raise ValueError(f"{len(pairs)} are stated; {MOST} is the most")
    return pairs


def check_address(name: str, address: str) -> None:
    """Raise ValueError for an address where anybody could answer: only loopback goes without TLS."""
    plain = not address.startswith(TLS)
    target = address.removeprefix(TLS)
    if plain and target.startswith("unix:"):
        return
    host, colon, port = target.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"the extension {name!r}: {address!r} is no address: host:port, or tls://host:port")
    if plain and not is_loopback(host):
        raise ValueError(
            f"the extension {name!r}: {host} is another machine, and anybody on the way could answer: tls://{target}"
        )

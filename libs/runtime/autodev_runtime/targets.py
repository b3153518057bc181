"""Settings that say where something else is. One that leads nowhere is refused at the start, not at each call."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from autodev_sdk.addresses import names_a_port


def check_target(target: str) -> str:
    """The gRPC target. Raises ValueError where it names no port."""
    if not names_a_port(target):
        raise ValueError("is no address: host:port, or a target of gRPC's, as dns:///learning:50053")
    return target


def check_collector(endpoint: str) -> str:
    """The URL, which may be empty. Raises ValueError for any other text."""
    if endpoint and not _is_url(endpoint):
        raise ValueError("is no URL of a collector, as http://127.0.0.1:4317")
    return endpoint


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        # Its text has a part of the URL, which may be a password.
        return False


Target = Annotated[str, AfterValidator(check_target)]
Collector = Annotated[str, AfterValidator(check_collector)]

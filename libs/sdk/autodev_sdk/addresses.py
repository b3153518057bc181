"""What an address says about who can listen in on the way to it."""

import ipaddress
import re

_SOCKETS = ("unix:", "unix-abstract:")
_LISTS = ("ipv4:", "ipv6:")
_NAMES = ("dns:///", "dns:")
_RESOLVER = re.compile(r"^(ipv[46]:|dns:(//[^/]*/)?)")
_PLACE = re.compile(r"(\[[^\]/]+\]|[^:/\[\]]+):([0-9]{1,5})")
LAST_PORT = 65535


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def names_a_port(target: str) -> bool:
    """Whether a gRPC target is of a form that has one: `host:port`, maybe after a resolver's name; or needs none."""
    if target.startswith((*_SOCKETS, "xds:")):
        return True
    return all(map(_has_port, _RESOLVER.sub("", target).split(",")))


def _has_port(place: str) -> bool:
    parts = _PLACE.fullmatch(place)
    return parts is not None and int(parts[2]) <= LAST_PORT


def stays_here(target: str) -> bool:
    """Whether a gRPC target is on this machine: a Unix socket, or nothing but loopback addresses."""
    if target.startswith(_SOCKETS):
        return True
    for scheme in (*_LISTS, *_NAMES):
        target = target.removeprefix(scheme)
    return all(is_loopback(each.rpartition(":")[0]) for each in target.split(","))

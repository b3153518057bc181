"""What an address says about who can listen in on the way to it."""

import ipaddress

_LISTS = ("ipv4:", "ipv6:")
_NAMES = ("dns:///", "dns:")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def stays_here(target: str) -> bool:
    """Whether a gRPC target is on this machine: a Unix socket, or nothing but loopback addresses."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in (*_LISTS, *_NAMES):
        target = target.removeprefix(scheme)
    return all(is_loopback(each.rpartition(":")[0]) for each in target.split(","))

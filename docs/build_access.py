"""Writes docs/access.md, who may call which RPC, from the contracts: `make access-page`."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

import autodev
from autodev_runtime.access import Effect, access_to

PAGE = Path(__file__).with_name("access.md")
HEAD = """# Who may call what

Each RPC's contract says which role it needs and what it does (`autodev.options.v1.access`), and every server enforces
it before it reads the request: PERMISSION_DENIED, reason ROLE_REQUIRED or READ_ONLY. Where one field needs a role, it
is enforced before the request is served. A credential that is `read_only` opens what reads, if it has the role as well.
How credentials come by their roles: [identity.md](identity.md). This page is built from the contracts by
`make access-page`.

"""
VOUCHED = "an outcome that is vouched for, a run of a named version and what a call must give need runtime"
NOTES = {
    "EventService.Publish": VOUCHED,
    "EventService.PublishStream": VOUCHED,
}
_WORDS = {Effect.READ: "reads", Effect.WRITE: "writes", Effect.DECISION: "decides"}


def page() -> str:
    """The whole page."""
    return HEAD + "| RPC | role | it |\n|---|---|---|\n" + "".join(map(row, methods()))


def row(method: MethodDescriptor) -> str:
    """One RPC's line."""
    name = f"{_service(method).name}.{method.name}"
    access = access_to(method)
    role = access.role.value if access.role is not None else "any"
    note = f"; {NOTES[name]}" if name in NOTES else ""
    if access.deciding_field:
        note += f"; `{access.deciding_field}` is a decision and needs reviewer"
    return f"| `{name}` | {role}{note} | {_WORDS[access.effect]} |\n"


def methods() -> Iterator[MethodDescriptor]:
    """Every RPC of the contracts, service by service."""
    for service in services():
        yield from service.methods


def services() -> list[ServiceDescriptor]:
    """Every gRPC service that the mesh serves, by name. Extensions are served by users: the mesh calls them."""
    every = [service for module in _modules() for service in module.DESCRIPTOR.services_by_name.values()]
    found = [service for service in every if not service.full_name.startswith("autodev.extension.")]
    return sorted(found, key=lambda service: str(service.full_name))


def _modules() -> Iterator[Any]:
    for root in autodev.__path__:
        for path in Path(root).rglob("*_pb2.py"):
            yield importlib.import_module(".".join(("autodev", *path.relative_to(root).with_suffix("").parts)))


def _service(method: MethodDescriptor) -> ServiceDescriptor:
    service = method.containing_service
    assert service is not None
    return service


if __name__ == "__main__":
    PAGE.write_text(page())

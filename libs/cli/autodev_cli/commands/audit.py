"""`autodev audit`: who decided what, and whether the record of it is whole."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from autodev.gateway.v1 import audit_service_pb2 as pb
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import moment, print_json, print_json_line, print_table, say
from autodev_cli.paging import PAGE, pages
from autodev_cli.target import ask
from autodev_runtime.audit_chain import ChainBroken, Head, Verifier
from autodev_sdk import AutoDevClient

app = new_app("See who decided what, and verify that nothing of it was changed. Needs the role operator.")


@app.command("list")
@connected
def list_entries(
    connection: Connection,
    last: Annotated[int, typer.Option("--last", min=1, max=100_000, help="How many entries.")] = 50,
) -> None:
    """List the newest entries: decisions and how they ended, and what services did by themselves."""

    async def newest(mesh: AutoDevClient) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        async for entry in _entries(mesh, pb.AUDIT_ORDER_NEWEST_FIRST, min(last, PAGE)):
            entries.append(json.loads(entry.canonical) | {"hash": entry.hash})
            if len(entries) == last:
                break
        return entries

    found = ask(connection, newest)
    if connection.json:
        for entry in found:
            print_json_line(entry)
        return
    print_table(
        ("entry", "when", "who", "what", "about"),
        [(each["number"], _moment(each["at_us"]), _who(each), _what(each), _about(each)) for each in found],
        empty="Nobody has decided anything yet.",
    )


@app.command()
@connected
def verify(
    connection: Connection,
    expect_head: Annotated[
        str | None,
        typer.Option(
            "--expect-head",
            metavar="HEAD",
            help="A head that an earlier run printed: says where the chain was changed since, or that its end is gone.",
        ),
    ] = None,
) -> None:
    """Compute the chain anew from its start, and print its head. Fails where an entry is not as it was written.

    Also where it is not the workspace's, if that is stated by --tenant or the key is the development key.
    """
    try:
        expected = Head.parse(expect_head) if expect_head is not None else None
    except ValueError as error:
        raise UsageError(f"--expect-head: {error}") from None

    verifier = Verifier(connection.known_tenant, expected)

    async def verified(mesh: AutoDevClient) -> Head:
        async for entry in _entries(mesh, pb.AUDIT_ORDER_OLDEST_FIRST, PAGE):
            verifier.take(entry.canonical, entry.hash)
        return verifier.finish()

    try:
        head = ask(connection, verified)
    except ChainBroken as broken:
        raise CommandError(f"the audit log was changed: {broken}") from None
    if connection.json:
        print_json({"entries": head.number, "head": str(head), "tenant": verifier.tenant})
    else:
        whose = f" of {verifier.tenant}" if verifier.tenant is not None else ""
        say(f"{head.number} entries{whose}, each as it was written. Keep the head for --expect-head:")
        print(head)


async def _entries(mesh: AutoDevClient, order: "pb.AuditOrder.ValueType", size: int) -> AsyncIterator[pb.AuditEntry]:
    async for page in pages(mesh.audit.ListAuditEntries, pb.ListAuditEntriesRequest(order=order), size):
        for entry in page.entries:
            yield entry


def _moment(at_us: int) -> str:
    stamp = Timestamp()
    stamp.FromMicroseconds(at_us)
    return moment(stamp)


def _who(entry: dict[str, Any]) -> str:
    if "credential" in entry:
        return f"{entry['by']} ({entry['credential']})"
    return f"{entry['by']}, by itself" if "by" in entry else ""


def _what(entry: dict[str, Any]) -> str:
    if "rpc" in entry:
        return str(entry["rpc"]).removeprefix("autodev.")
    if "event" in entry:
        return str(entry["event"])
    return f"  {entry['decision']} ended: {entry['status']}"


def _about(entry: dict[str, Any]) -> str:
    values = entry.get("values") or {}
    return json.dumps(values, ensure_ascii=False) if values else ""

"""`autodev webhooks`: what the world said of variants, and fitness could not be told."""

from typing import Annotated

import typer

from autodev.gateway.v1 import webhook_service_pb2 as pb
from autodev_cli.errors import UsageError
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, one_line, print_json, print_json_line, print_table, say
from autodev_cli.paging import first_of
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient

app = new_app("See webhooks that were given up, and have them passed on after all. Needs the role operator.")

IDS_AT_ONCE = 100

Source = Annotated[str, typer.Option("--source", help="Only those of this sender.")]


@app.command("list")
@connected
def list_dead(
    connection: Connection,
    source: Source = "",
    first: Annotated[int, typer.Option("--first", min=1, max=100_000, help="How many, the longest dead first.")] = 50,
) -> None:
    """List dead webhooks: acknowledged, tried, and given up."""

    async def listed(mesh: AutoDevClient) -> list[pb.DeadWebhook]:
        request = pb.ListDeadWebhooksRequest(source=source)
        return await first_of(first, mesh.webhooks.ListDeadWebhooks, request, lambda page: page.dead_webhooks)

    webhooks = ask(connection, listed)
    if connection.json:
        for each in webhooks:
            print_json_line(as_dict(each))
        return
    print_table(
        ("webhook", "says", "of variant", "came", "dead since", "tries", "last error"),
        [
            (each.id, each.type, each.variant_id, each.received_at, each.dead_at, each.attempts, one_line(each.error))
            for each in webhooks
        ],
        empty="No webhook is dead.",
    )


@app.command()
@connected
def replay(
    connection: Connection,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="WEBHOOK...", help="Their ids, as `list` shows them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead now, or all of --source.")] = False,
    source: Source = "",
) -> None:
    """Have dead webhooks passed on again, as if they had just come in. What fitness has already counts once."""
    if bool(ids) == every:
        raise UsageError("name webhooks, or say --all")

    async def replayed(mesh: AutoDevClient) -> pb.ReplayDeadWebhooksResponse:
        if ids:
            parts = [ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE)]
            return await _replay_each(mesh, source, parts)
        return await _replay_all(mesh, source)

    total = ask(connection, replayed)
    if connection.json:
        print_json(as_dict(total))
        return
    more = f"; {total.remaining} are dead still" if total.remaining else ""
    say(f"{total.replayed} will be passed on again{more}")


async def _replay_each(mesh: AutoDevClient, source: str, parts: list[list[str]]) -> pb.ReplayDeadWebhooksResponse:
    total = pb.ReplayDeadWebhooksResponse()
    for part in parts:
        request = pb.ReplayDeadWebhooksRequest(source=source, dead_webhook_ids=part)
        answer = await mesh.webhooks.ReplayDeadWebhooks(request)
        total.replayed += answer.replayed
        total.remaining += answer.remaining
    return total


async def _replay_all(mesh: AutoDevClient, source: str) -> pb.ReplayDeadWebhooksResponse:
    """As many calls as the first answer says it takes, and no more: some may be dead again before the last."""
    request = pb.ReplayDeadWebhooksRequest(source=source)
    total = await mesh.webhooks.ReplayDeadWebhooks(request)
    wanted = total.replayed + total.remaining
    while total.remaining and total.replayed < wanted:
        answer = await mesh.webhooks.ReplayDeadWebhooks(request)
        total.replayed += answer.replayed
        total.remaining = answer.remaining
    return total

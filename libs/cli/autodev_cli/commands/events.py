"""`autodev events`: what happens, and what a group of workers could not handle."""

from collections import deque
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from typing import Annotated

import typer

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.narration import KINDS, kind_of, line
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, one_line, print_json, print_json_line, print_table, say
from autodev_cli.paging import first_of, whole
from autodev_cli.spans import MOST, span_of
from autodev_cli.tailing import CAUGHT_UP_MS, start_of_last
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient
from autodev_sdk.events import follow
from autodev_sdk.extensions import NoHandlers, run_handlers

app = new_app("Follow what happens; see what workers could not handle, and deliver it again.")

Group = Annotated[str, typer.Argument(metavar="GROUP", help="A group of workers: learning.memento, or your own.")]


@app.callback()
def events() -> None:
    """Follow what happens; see what workers could not handle, and deliver it again."""


@app.command()
@connected
def tail(
    connection: Connection,
    kinds: Annotated[
        list[str] | None, typer.Option("--type", help="Only these kinds: task_failed. Repeatable.")
    ] = None,
    agents: Annotated[list[str] | None, typer.Option("--agent", help="Only about these agents. Repeatable.")] = None,
    since: Annotated[
        str | None, typer.Option(help="start, a span (30s, 10m, 2h, 1d), or an ISO time. Default: the last ones.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones, until Ctrl-C.")] = False,
    last: Annotated[
        int, typer.Option("--last", "-n", min=1, max=100_000, help="How many, where --since is not given.")
    ] = 20,
) -> None:
    """Print events, oldest first."""
    request = pb.SubscribeRequest(
        filter=pb.EventFilter(types=[kind_numbered(each) for each in kinds or ()], agent_ids=agents or ())
    )
    request.heartbeat_interval.FromMilliseconds(CAUGHT_UP_MS)
    now = datetime.now(UTC)
    stated = None if since in (None, "start") else since_time(since or "", now)

    async def print_events(mesh: AutoDevClient) -> None:
        started = await start_of_last(mesh, request.filter, last, now) if since is None else stated
        if started is None:
            request.at = pb.START_AT_EARLIEST
        else:
            request.at_time.FromDatetime(started)
        kept: deque[event_pb2.Event] = deque(maxlen=last if since is None else None)
        caught_up = False
        async for event in _events(mesh, request):
            if event is not None and caught_up:
                _print(connection, event)
            elif event is not None:
                kept.append(event)
            if event is None and not caught_up:
                caught_up = True
                for each in kept:
                    _print(connection, each)
                if not follow:
                    return

    ask(connection, print_events)


@app.command()
@connected
def handle(
    connection: Connection,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only these handlers, by entry point.")] = None,
) -> None:
    """Run the event handlers that are installed here, until Ctrl-C (docs/extensions.md)."""

    async def run(mesh: AutoDevClient) -> None:
        try:
            await run_handlers(mesh.events, only or (), begun=_say_who_handles)
        except NoHandlers as error:
            raise CommandError(str(error)) from None

    ask(connection, run)


def _say_who_handles(names: Collection[str]) -> None:
    typer.echo(f"Events are handled by {', '.join(sorted(names))}; Ctrl-C ends.", err=True)


@app.command()
@connected
def dead(
    connection: Connection,
    group: Group,
    first: Annotated[int, typer.Option("--first", min=1, max=100_000, help="How many, the oldest first.")] = 50,
) -> None:
    """List a group's dead letters: events that it failed to handle again and again, and why."""

    async def listed(mesh: AutoDevClient) -> list[pb.DeadLetter]:
        request = pb.ListDeadLettersRequest(group=group)
        return await first_of(first, mesh.events.ListDeadLetters, request, lambda page: page.dead_letters)

    letters = ask(connection, listed)
    if connection.json:
        for each in letters:
            print_json_line(as_dict(each))
        return
    print_table(
        ("letter", "event", "agent", "dead since", "tries", "last error"),
        [
            (each.id, kind_of(each.event), each.event.agent_id, each.dead_at, each.attempts, one_line(each.error))
            for each in letters
        ],
        empty=f"The group {group} has no dead letters.",
    )


@app.command()
@connected
def replay(
    connection: Connection,
    group: Group,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LETTER]...", help="Their ids, as `dead` shows them. Default: all of the group."),
    ] = None,
) -> None:
    """Deliver dead letters to their group again, with their tries counted anew. Needs the role operator."""
    request = pb.ReplayDeadLettersRequest(group=group, dead_letter_ids=ids or ())
    answer = ask(connection, lambda mesh: mesh.events.ReplayDeadLetters(request))
    if connection.json:
        print_json(as_dict(answer))
    else:
        say(f"{answer.replayed} will be delivered again")


@app.command()
@connected
def discard(
    connection: Connection,
    group: Group,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[LETTER]...", help="Their ids, as `dead` shows them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the group.")] = False,
) -> None:
    """Forget dead letters for good: they keep their events from retention no more. Needs the role operator."""
    if bool(ids) == everything:
        raise UsageError("name letters, or say --all")
    request = pb.DiscardDeadLettersRequest(group=group, dead_letter_ids=ids or (), all=everything)
    answer = ask(connection, lambda mesh: mesh.events.DiscardDeadLetters(request))
    if connection.json:
        print_json(as_dict(answer))
    else:
        say(f"{answer.discarded} forgotten")


@app.command()
@connected
def groups(connection: Connection) -> None:
    """List the workspace's groups of workers: how far they are, and what they have not settled or given up."""
    request = pb.ListConsumerGroupsRequest()
    answer = ask(connection, lambda mesh: whole(mesh.events.ListConsumerGroups, request, lambda page: page.groups))
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(
        ("group", "takes", "settled up to", "unsettled", "dead letters"),
        [
            (each.name, _filtered(each.filter), each.position_cursor, each.unsettled, each.dead_letters)
            for each in answer.groups
        ],
        empty="The workspace has no groups: the first worker that joins one makes it.",
    )


@app.command("delete-group")
@connected
def delete_group(connection: Connection, group: Group) -> None:
    """Delete a group for good, with its place in the log and its dead letters. Needs the role operator."""
    ask(connection, lambda mesh: mesh.events.DeleteConsumerGroup(pb.DeleteConsumerGroupRequest(group=group)))
    if not connection.json:
        say(f"{group} is deleted")


def _filtered(taken: pb.EventFilter) -> str:
    kinds = [word for word, number in KINDS.items() if number in taken.types]
    return ", ".join([*kinds, *taken.agent_ids, *taken.skill_ids]) or "all"


async def _events(mesh: AutoDevClient, request: pb.SubscribeRequest) -> AsyncIterator[event_pb2.Event | None]:
    """The events of a subscription; None at each heartbeat, which says that there is nothing more for now."""
    async for answer in follow(mesh.events, request):
        for event in answer.events:
            yield event
        if not answer.events:
            yield None


def kind_numbered(word: str) -> "event_pb2.EventType.ValueType":
    """The event type for a word. Raises UsageError."""
    if word not in KINDS:
        raise UsageError(f"no event type {word!r}; there are: {', '.join(KINDS)}")
    return KINDS[word]


def since_time(text: str, now: datetime) -> datetime:
    """The time that `--since` means: a span before now, or an ISO time, in this machine's zone where it names none.

    Raises UsageError.
    """
    if (span := span_of(text)) is not None:
        return now - span
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text}: give start, a span (30s, 10m, 2h, 1d; {MOST.days}d at most), or an ISO time"
        ) from None


def _print(connection: Connection, event: event_pb2.Event) -> None:
    if connection.json:
        print_json_line(as_dict(event))
    else:
        say(line(event), soft_wrap=True)

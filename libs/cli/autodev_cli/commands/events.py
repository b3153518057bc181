"""`autodev events`: what happens."""

from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_cli.errors import CommandError
from autodev_cli.narration import KINDS, line
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, console, print_json_line
from autodev_cli.spans import span_of
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient
from autodev_sdk.events import follow
from autodev_sdk.extensions import NoHandlers, run_handlers

app = new_app("Follow what happens.")

CAUGHT_UP_MS = 200


@app.callback()
def events() -> None:
    """Follow what happens."""


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
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="How many, where --since is not given.")] = 20,
) -> None:
    """Print events, oldest first."""
    request = pb.SubscribeRequest(
        filter=pb.EventFilter(types=[kind_numbered(each) for each in kinds or ()], agent_ids=agents or ())
    )
    request.heartbeat_interval.FromMilliseconds(CAUGHT_UP_MS)
    started = None if since in (None, "start") else since_time(since or "", datetime.now(UTC))
    if started is None:
        request.at = pb.START_AT_EARLIEST
    else:
        request.at_time.FromDatetime(started)

    async def print_events(mesh: AutoDevClient) -> None:
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
            await run_handlers(mesh.events, only or ())
        except NoHandlers as error:
            raise CommandError(str(error)) from None

    ask(connection, run)


async def _events(mesh: AutoDevClient, request: pb.SubscribeRequest) -> AsyncIterator[event_pb2.Event | None]:
    """The events of a subscription; None at each heartbeat, which says that there is nothing more for now."""
    async for answer in follow(mesh.events, request):
        for event in answer.events:
            yield event
        if not answer.events:
            yield None


def kind_numbered(word: str) -> "event_pb2.EventType.ValueType":
    """The event type for a word. Raises CommandError."""
    if word not in KINDS:
        raise CommandError(f"no event type {word!r}; there are: {', '.join(KINDS)}")
    return KINDS[word]


def since_time(text: str, now: datetime) -> datetime:
    """The time that `--since` means: a span before now, or an ISO time, in this machine's zone where it names none.

    Raises CommandError.
    """
    if (span := span_of(text)) is not None:
        return now - span
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise CommandError(f"--since {text}: give start, a span (30s, 10m, 2h, 1d), or an ISO time") from None


def _print(connection: Connection, event: event_pb2.Event) -> None:
    if connection.json:
        print_json_line(as_dict(event))
    else:
        console().print(line(event), markup=False, soft_wrap=True)

"""Runs the event handlers that are installed, in a program of the user's own."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from autodev_sdk.ending import ended
from autodev_sdk.events import DEFAULT_OPTIONS, EventBus, WorkerOptions
from autodev_sdk.extensions.installed import Group, installed
from autodev_sdk.visible import visible

if TYPE_CHECKING:
    from autodev.gateway.v1.event_service_pb2_grpc import EventServiceAsyncStub

log = logging.getLogger(__name__)


class NoHandlers(LookupError):
    """No event handler is installed, or none of those that were asked for."""


async def run_handlers(
    stub: "EventServiceAsyncStub",
    only: Collection[str] = (),
    options: WorkerOptions = DEFAULT_OPTIONS,
    begun: Callable[[Collection[str]], None] = lambda names: None,
) -> None:
    """Give events to every installed `EventBus` (or those named), each as its own group, for ever.

    `begun` is told which they are. One that ends by an error is logged, and the others go on; when none is left, the
    last error is raised. Raises NoHandlers.
    """
    found = installed(Group.EVENT_HANDLERS, EventBus)
    wanted = {name: bus for name, bus in found.working.items() if not only or name in only}
    missing = set(only) - set(wanted)
    if missing or not wanted:
        faults = "; ".join(f"{each.name}: {each.reason}" for each in found.broken)
        raise NoHandlers(f"no event handler {', '.join(sorted(missing)) or 'is installed'} {faults}".strip())
    begun(wanted)
    tasks = {asyncio.ensure_future(bus.run(stub, options)): name for name, bus in wanted.items()}
    try:
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                name = tasks.pop(task)
                log.error("the event handlers of %r ended: %s", name, visible(str(task.exception())))
                if not tasks:
                    task.result()
    finally:
        await ended(*tasks)

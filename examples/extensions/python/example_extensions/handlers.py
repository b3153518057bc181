"""Event handlers that keep a journal: `autodev events handle` runs them."""

import os
from pathlib import Path

from autodev.gateway.v1.event_pb2 import Event
from autodev_sdk.extensions import EventBus

JOURNAL_FILE = "EXAMPLE_JOURNAL_FILE"

event_bus = EventBus(group="example.journal")


@event_bus.on_task_fail
async def note_failure(event: Event) -> None:
    note(f"failed {event.task_failed.episode_id}")


@event_bus.on_task_success
async def note_success(event: Event) -> None:
    note(f"succeeded {event.task_succeeded.episode_id}")


@event_bus.on_skill_execution
async def note_run(event: Event) -> None:
    note(f"ran {event.skill_executed.skill_name}")


def note(line: str) -> None:
    """Add a line. The same event may come twice, so what reads the journal must not count its lines."""
    with Path(os.environ[JOURNAL_FILE]).open("a") as journal:
        journal.write(line + "\n")

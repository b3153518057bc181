"""A client in Python: reports an agent's failures, and follows what comes of them until a skill waits for review.

Run it beside a mesh, `autodev up` in another terminal:

    autodev settings set --enabled                          # once: nothing is learnt before
    autodev agents set-maturity invoice-agent intern        # once for each agent
    .venv/bin/python examples/python_client.py
"""

import argparse
import asyncio
import sys
import uuid
from functools import partial
from pathlib import Path

import grpc

from autodev.gateway.v1.event_pb2 import OUTCOME_FAILURE, Event, Example, TaskEvent
from autodev.gateway.v1.event_service_pb2 import PublishRequest, SubscribeRequest
from autodev_sdk import AutoDevClient, follow, make_event

TASK = "Write last_day(year, month), which gives the number of the last day of a month."
EXAMPLES = [
    Example(call="last_day(2024, 2)", expected="29"),
    Example(call="last_day(2023, 2)", expected="28"),
    Example(call="last_day(2023, 4)", expected="30"),
    Example(call="last_day(2023, 1)", expected="31"),
    Example(call="last_day(2000, 2)", expected="29"),
    Example(call="last_day(2023, 12)", expected="31"),
]
ATTEMPTS = [
    # It asks for the weekday of the first day, not for the number of days.
    (
        "import calendar\n\n\ndef last_day(year, month):\n    return calendar.monthrange(year, month)[0]\n",
        "AssertionError: last_day(2024, 2) gave 3, expected 29",
    ),
    (
        "import calendar\n\n\ndef last_day(year, month):\n    return calendar.monthrange(year, month)\n",
        "AssertionError: last_day(2024, 2) gave (3, 29), expected 29",
    ),
]

PATIENCE_S = 10.0
NOTHING_YET = "nothing yet: is Auto-Dev enabled, and the agent INTERN?"


def failure(agent: str, code: str, error_trace: str) -> Event:
    """The event that reports one failed attempt. Its episode id is the runtime's; the same id again changes nothing."""
    attempt = TaskEvent(
        episode_id=f"episode-{uuid.uuid4()}",
        agent_id=agent,
        task_description=TASK,
        code=code,
        error_trace=error_trace,
        outcome=OUTCOME_FAILURE,
        examples=EXAMPLES,
    )
    return make_event(attempt, agent_id=agent)


async def review_of(mesh: AutoDevClient, agent: str, cursor: str) -> Event:
    """Print the agent's events after a cursor; give the one that asks for a review. Where none come, say why not."""
    hint = asyncio.get_running_loop().call_later(PATIENCE_S, partial(print, NOTHING_YET, file=sys.stderr))
    request = SubscribeRequest(after_cursor=cursor)
    request.filter.agent_ids.append(agent)
    async for batch in follow(mesh.events, request):
        for event in batch.events:
            hint.cancel()
            print(event.WhichOneof("payload"))
            if event.HasField("review_requested"):
                return event
    raise RuntimeError("the gateway ended the subscription")


async def main(address: str, key_file: Path, agent: str) -> None:
    """Report, follow, and say how to go on."""
    async with AutoDevClient(address, key_file.read_text().strip()) as mesh:
        events = [failure(agent, code, trace) for code, trace in ATTEMPTS]
        published = await mesh.events.Publish(PublishRequest(events=events))
        print(f"reported {len(published.event_ids)} failures")
        asked = await review_of(mesh, agent, published.cursors[-1])
        print(f"{asked.review_requested.title}: autodev review show {asked.review_requested.review_id}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--key-file", type=Path, default=Path(".autodev/keys/default.key"))
    parser.add_argument("--agent", default="invoice-agent")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.address, given.key_file, given.agent))
    except grpc.aio.AioRpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")

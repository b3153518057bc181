"""From TaskFailed published to candidate validated, with the case bank: what the mesh adds to the time in the sandbox.

Each round is an agent of its own: a success of another agent fills the case bank, a first failure is stored, and the
clock runs from the call that publishes the second failure to the CandidateValidated event at a subscriber. Subtracted
is only the validation's time in the sandbox, as the event reports it; the proposal's own run there counts against us.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_sdk import AutoDevClient, make_event
from tests.mesh import Mesh

ROUNDS = 40
BAR_MS = 300.0


async def _validated(client: AutoDevClient) -> AsyncIterator[event_pb2.Event]:
    request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_EARLIEST)
    request.filter.types.append(event_pb2.EVENT_TYPE_CANDIDATE_VALIDATED)
    async for response in client.events.Subscribe(request):
        for event in response.events:
            yield event


def _attempt(number: int, episode: str, agent: str, code: str, outcome: Any) -> event_pb2.Event:
    name = f"middle_{number}"
    return make_event(
        event_pb2.TaskEvent(
            episode_id=f"{episode}-{number}",
            agent_id=agent,
            task_description=f"Find the middle number {number}",
            code=f"def {name}(items):\n    return {code}\n",
            error_trace="" if outcome == event_pb2.OUTCOME_SUCCESS else "AssertionError: wrong value",
            outcome=outcome,
            examples=[
                event_pb2.Example(call=f"{name}({list(range(size))})", expected=str(size // 2)) for size in range(1, 10)
            ],
        ),
        agent_id=agent,
    )


async def _round(client: AutoDevClient, validated: AsyncIterator[event_pb2.Event], number: int) -> tuple[float, float]:
    """Seconds from publishing to validated, and seconds of validation in the sandbox."""
    agent = f"bench-{number}"
    await client.capability.SetMaturity(
        capability.SetMaturityRequest(agent_id=agent, maturity=capability.MATURITY_LEVEL_INTERN)
    )
    right = _attempt(number, "ok", f"{agent}-peer", "sorted(items)[len(items) // 2]", event_pb2.OUTCOME_SUCCESS)
    first = _attempt(number, "first", agent, "items[0]", event_pb2.OUTCOME_FAILURE)
    second = _attempt(number, "second", agent, "items[-1]", event_pb2.OUTCOME_FAILURE)
    await client.events.Publish(event_service_pb2.PublishRequest(events=[right, first]))
    await asyncio.sleep(0.2)
    started = time.perf_counter()
    await client.events.Publish(event_service_pb2.PublishRequest(events=[second]))
    event = await anext(validated)
    assert event.candidate_validated.passed, event
    return time.perf_counter() - started, event.candidate_validated.sandbox_seconds


async def measure(rounds: int, level: str) -> None:
    """Run the rounds on one isolation level and print the figures."""
    with tempfile.TemporaryDirectory() as directory:
        async with (
            Mesh(Path(directory), settings={"AUTODEV_SANDBOX_LEVELS": level}) as mesh,
            mesh.client() as client,
        ):
            settings = capability.WorkspaceSettings(enabled=True, memento_skills=True, max_skill_candidates_per_day=5)
            await client.capability.UpdateWorkspaceSettings(
                capability.UpdateWorkspaceSettingsRequest(settings=settings)
            )
            validated = _validated(client)
            await _round(client, validated, 0)
            figures = [await _round(client, validated, number) for number in range(1, rounds + 1)]
    _report(level, figures)


def _report(level: str, figures: list[tuple[float, float]]) -> None:
    whole = statistics.median(total for total, _ in figures) * 1000
    sandbox = statistics.median(inside for _, inside in figures) * 1000
    beyond = statistics.median(total - inside for total, inside in figures) * 1000
    print(f"TaskFailed published to candidate validated, case bank, {level}, {len(figures)} rounds, p50:")
    print(f"  whole                                {whole:8.1f} ms")
    print(f"  validation in the sandbox            {sandbox:8.1f} ms   (denominator)")
    print(f"  beyond it                            {beyond:8.1f} ms   (bar: {BAR_MS:.0f} ms)")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--level", default="namespace", choices=["namespace", "container"])
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.level))


if __name__ == "__main__":
    main()

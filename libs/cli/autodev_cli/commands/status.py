"""`autodev status`: what of the mesh serves, and what waits."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import typer

from autodev.learning.v1 import review_service_pb2, skill_service_pb2
from autodev.sandbox.v1 import sandbox_service_pb2
from autodev_cli.mesh import health
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import print_json, print_table, say
from autodev_cli.paging import Count, counted
from autodev_cli.sandbox import level_lines_of, levels_of
from autodev_cli.target import Target, find, run
from autodev_runtime.status import reason_of
from autodev_sdk import AutoDevClient
from autodev_sdk.ending import results_of

app = new_app()

SERVICES = {
    "gateway": "autodev.gateway.v1.EventService",
    "capability": "autodev.capability.v1.CapabilityService",
    "learning": "autodev.learning.v1.MementoService",
    "fitness": "autodev.fitness.v1.FitnessService",
    "sandbox": "autodev.sandbox.v1.SandboxService",
}
SERVING = "SERVING"
ANSWER_S = 5.0
"""How long a service may take to say what it is asked here."""

T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """A figure that its service does not give now, and why."""

    why: str

    def __str__(self) -> str:
        return f"unknown ({self.why})"


@dataclass(frozen=True)
class MeshStatus:
    """What a mesh says of itself."""

    services: dict[str, str]
    sandbox: sandbox_service_pb2.GetSandboxStatusResponse | Unknown
    reviews_waiting: Count | Unknown
    skills: Count | Unknown

    @property
    def serves(self) -> bool:
        """Whether every service does."""
        return all(state == SERVING for state in self.services.values())


@app.command()
@connected
def status(connection: Connection) -> None:
    """Show which services serve, the sandbox's isolation, and how much waits. Exit status 0 only if all serve."""
    target = find(connection)
    found = run(target, status_of)
    if connection.json:
        print_json(_shaped(target, found))
    else:
        _print(target, found)
    raise typer.Exit(0 if found.serves else 1)


async def status_of(mesh: AutoDevClient) -> MeshStatus:
    """Ask the gateway of itself and of the services behind it.

    Raises the RPCs' errors where no gateway answers, or does not know the caller.
    """
    states = await results_of(*(health.check(mesh.channel, service) for service in SERVICES.values()))
    waiting = review_service_pb2.ListReviewsRequest(state=review_service_pb2.REVIEW_STATE_WAITING)
    every = skill_service_pb2.ListSkillsRequest()
    sandbox = await _said_by("sandbox", mesh.sandbox.GetSandboxStatus(sandbox_service_pb2.GetSandboxStatusRequest()))
    reviews, skills = await results_of(
        _said_by("learning", counted(mesh.reviews.ListReviews, waiting, lambda page: page.reviews)),
        _said_by("learning", counted(mesh.skills.ListSkills, every, lambda page: page.skills)),
    )
    return MeshStatus(dict(zip(SERVICES, states, strict=True)), sandbox, reviews, skills)


async def _said_by(service: str, answer: Awaitable[T]) -> T | Unknown:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError:
        return Unknown(f"{service} does not answer")
    except grpc.aio.AioRpcError as error:
        if not _gateway_asked_it(error):
            raise
        reason = reason_of(error) or error.code().name
        return Unknown(f"{service} is away" if reason == "SERVICE_AWAY" else f"{service}: {reason}")


def _gateway_asked_it(error: grpc.aio.AioRpcError) -> bool:
    """Whether there was a gateway, which knows the caller."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return bool(reason_of(error))
    return error.code() is not grpc.StatusCode.UNAUTHENTICATED


def _print(target: Target, found: MeshStatus) -> None:
    print_table(("service", "state"), list(found.services.items()), empty="")
    say(f"gateway {target.address}")
    sandbox = found.sandbox
    for line in [f"sandbox level {sandbox}"] if isinstance(sandbox, Unknown) else level_lines_of(sandbox):
        say(line)
    say(f"skills {found.skills}")
    say(f"reviews that wait {found.reviews_waiting} (`autodev review list`)")


def _shaped(target: Target, found: MeshStatus) -> dict[str, Any]:
    figures = {"sandbox": found.sandbox, "reviews_waiting": found.reviews_waiting, "skills": found.skills}
    return {
        "gateway": target.address,
        "services": found.services,
        **{name: _figure(value) for name, value in figures.items()},
        "at_least": [name for name, value in figures.items() if isinstance(value, Count) and value.more],
        "unknown": {name: value.why for name, value in figures.items() if isinstance(value, Unknown)},
    }


def _figure(value: sandbox_service_pb2.GetSandboxStatusResponse | Count | Unknown) -> Any:
    if isinstance(value, Unknown):
        return None
    return value.number if isinstance(value, Count) else levels_of(value)

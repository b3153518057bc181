"""`autodev status`: what of the mesh serves, and what waits."""

from dataclasses import dataclass
from typing import Any

from autodev.learning.v1 import review_service_pb2, skill_service_pb2
from autodev.sandbox.v1 import sandbox_service_pb2
from autodev_cli.mesh import health
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import console, print_json, print_table
from autodev_cli.paging import whole
from autodev_cli.sandbox import level_lines_of, levels_of
from autodev_cli.target import Target, find, run
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


@dataclass(frozen=True)
class MeshStatus:
    """What a mesh says of itself."""

    services: dict[str, str]
    sandbox: sandbox_service_pb2.GetSandboxStatusResponse
    reviews_waiting: int
    skills: int


@app.command()
@connected
def status(connection: Connection) -> None:
    """Show which services serve, the sandbox's isolation, and how much waits for review."""
    target = find(connection)
    found = run(target, lambda mesh: status_of(mesh, target))
    if connection.json:
        print_json(_shaped(target, found))
        return
    print_table(("service", "state"), list(found.services.items()), empty="")
    console().print(f"gateway {target.address}")
    for line in level_lines_of(found.sandbox):
        console().print(line)
    console().print(f"{found.skills} skills, {found.reviews_waiting} reviews wait (`autodev review list`)")


async def status_of(mesh: AutoDevClient, target: Target) -> MeshStatus:
    """Ask the gateway of itself and of the services behind it. Raises the RPCs' errors."""
    states = await results_of(*(health.check(mesh.channel, service) for service in SERVICES.values()))
    sandbox = await mesh.sandbox.GetSandboxStatus(sandbox_service_pb2.GetSandboxStatusRequest())
    waiting = review_service_pb2.ListReviewsRequest(state=review_service_pb2.REVIEW_STATE_WAITING)
    reviews = await whole(mesh.reviews.ListReviews, waiting, lambda page: page.reviews)
    skills = await whole(mesh.skills.ListSkills, skill_service_pb2.ListSkillsRequest(), lambda page: page.skills)
    return MeshStatus(dict(zip(SERVICES, states, strict=True)), sandbox, len(reviews.reviews), len(skills.skills))


def _shaped(target: Target, found: MeshStatus) -> dict[str, Any]:
    return {
        "gateway": target.address,
        "services": found.services,
        "sandbox": levels_of(found.sandbox),
        "reviews_waiting": found.reviews_waiting,
        "skills": found.skills,
    }

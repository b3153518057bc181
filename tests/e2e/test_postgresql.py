"""Both loops on PostgreSQL: failures become a skill, and its slow run becomes a faster version."""

import uuid
from pathlib import Path

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import review_service_pb2 as review
from autodev.learning.v1 import skill_service_pb2 as skills
from tests.evolving import AUTONOMOUS, QUICK, Workspace
from tests.mesh import Mesh, eventually
from tests.postgresql import SERVICES, Server
from tests.storage import Storages

ANY_SANDBOX = {"AUTODEV_SANDBOX_LEVELS": "namespace,container"}


async def test_both_loops_close_on_postgresql(postgresql: Server, tmp_path: Path) -> None:
    with Storages(postgresql).new(tmp_path) as storage:
        async with Mesh(tmp_path, settings=QUICK | ANY_SANDBOX | storage.settings) as mesh, mesh.client() as client:
            workspace = Workspace(mesh, client)
            await workspace.configure()
            agent = await workspace.agent(AUTONOMOUS)
            skill = await workspace.skill(agent)
            await workspace.slow_run(skill, agent)
            waiting = await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
            assert waiting.subject_kind == event_pb2.SUBJECT_KIND_MUTATION
            await client.reviews.ApproveReview(review.ApproveReviewRequest(review_id=waiting.id))
            promoted = await eventually(lambda: workspace.version(skill.id, "1.1.0"), "version 1.1.0 is active")
            ran = await client.skills.ExecuteSkill(
                skills.ExecuteSkillRequest(
                    request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent, call=f"{skill.name}([2, 2, 5])"
                )
            )
            assert (ran.success, ran.result_literal, ran.skill_version) == (True, "[2, 5]", promoted.active.version)
        assert not list(tmp_path.glob("*.sqlite3"))
        tables = {table for name in SERVICES for table in await storage.tables(name)}
        assert {"events", "skills", "workflow_variants", "quota_counters"} <= tables

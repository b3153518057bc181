"""What `autodev up` says of variables that no service reads."""

from pathlib import Path

import pytest

from autodev_cli.mesh.ignored import ignored
from autodev_cli.mesh.layout import SERVICES, MeshPlan, Ports


def test_a_slip_is_told_for_whichever_service_it_is() -> None:
    stated = {f"AUTODEV_{service.upper()}_DRAIN": "1" for service in SERVICES}
    assert ignored({**stated, "AUTODEV_LEARNING_PROPOSAL_SECONDS": "5", "AUTODEV_TENANT": "acme"}) == [
        f"{name}: there is no such setting; perhaps {name}_S?" for name in stated
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_a_mesh_sets_nothing_in_vain(service: str) -> None:
    plan = MeshPlan(Path("data"), Ports(), "acme", allow_process_sandbox=True, mutual_tls=True)
    assert ignored(plan.environment(service, {})) == []

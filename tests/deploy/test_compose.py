"""docker-compose.yml runs: every service healthy and scaled, the loop closes through it, a crash loses nothing."""

from typing import Any

from tests.deploy.conftest import REPLICAS
from tests.deploy.stack import OTHERS, SERVICES, Stack

PLAIN_USER = 10001


def test_an_image_holds_its_own_service_and_no_tool_to_build_or_install_with(built: Stack) -> None:
    for service in SERVICES:
        image = built.image(service)
        assert image.attrs["Config"]["User"] == f"{PLAIN_USER}:{PLAIN_USER}"
        assert image.attrs["Config"]["Healthcheck"]["Test"][:4] == ["CMD", "python3", "-m", "autodev_runtime.probe"]
        found = built.run_in(
            service,
            "import importlib.util, json, shutil, os; print(json.dumps({"
            "'services': [name for name in os.environ['NAMES'].split() if importlib.util.find_spec('autodev_' + name)],"
            "'tools': [name for name in ('pip', 'setuptools', 'uv', 'hatchling', 'grpc_tools', 'pytest')"
            " if importlib.util.find_spec(name) or shutil.which(name)],"
            "'compiler': shutil.which('cc') or shutil.which('gcc')}))",
            NAMES=" ".join((*SERVICES, "cli")),
        )
        assert found == {"services": [service], "tools": [], "compiler": None}


def test_the_loop_closes_on_replicas_and_a_crash_of_each_service_loses_nothing(stack: Stack) -> None:
    assert {service: len(stack.containers(service)) for service in SERVICES} == REPLICAS
    # Status 1 is the second loop's, which measures speed and has no say here.
    told = stack.command_line("demo", statuses=(0, 1))
    assert told["memento"]["closed"], told
    before = kept(stack)

    for service in (*SERVICES, *OTHERS):
        stack.crash(stack.containers(service)[0])
    stack.healthy(sum(REPLICAS.values()) + len(OTHERS))
    assert kept(stack) == before
    assert set(stack.command_line("status")["services"].values()) == {"SERVING"}


def kept(stack: Stack) -> Any:
    """What the mesh has learnt, as it tells it."""
    skills = stack.command_line("skills", "list")
    assert skills
    return skills

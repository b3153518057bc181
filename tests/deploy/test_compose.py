"""docker-compose.yml runs: every service healthy and scaled, the loop closes through it, a crash loses nothing."""

from typing import Any

from tests.deploy.conftest import REPLICAS
from tests.deploy.listening import Listening
from tests.deploy.model import KEY, TASK, Model
from tests.deploy.stack import OTHERS, SERVICES, Stack
from tests.integration.sandbox.engines import PrivateEngine

PLAIN_USER = 10001
NOWHERE: dict[str, set[str]] = {service: set() for service in SERVICES}
"""What each service reaches where it reaches nothing."""
SENDS_WEBHOOKS = """
import json, time, urllib.error, urllib.request
from autodev_gateway.webhooks.signature import secret_from, signature_of

secret = secret_from(json.load(open("/run/secrets/webhooks"))["crm"]["secrets"][0])
body, now = b'{"type": "error_signal", "data": {"variant_id": "v-1"}}', str(int(time.time()))
signature = signature_of(secret, "msg_1", now, body)
for signed in (signature, "v1,AAAA"):
    headers = {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": signed}
    request = urllib.request.Request("http://127.0.0.1:8080/webhooks/crm", body, headers)
    try:
        print(urllib.request.urlopen(request, timeout=30).status)
    except urllib.error.HTTPError as refused:
        print(refused.code)
"""


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


def test_a_webhook_is_taken_by_its_signature_alone(stack: Stack) -> None:
    assert stack.printed_in("gateway", SENDS_WEBHOOKS).split() == ["202", "401"]


def test_nothing_but_the_gateway_reaches_what_listens_on_the_machine(stack: Stack, engine: PrivateEngine) -> None:
    with Listening(engine) as machine:
        assert len(machine.urls) > 1
        found = stack.reached(machine.urls)
        assert found == NOWHERE | {"gateway": set(machine.urls)}


def test_a_model_laid_over_is_reached_by_learning_alone_and_makes_candidates(stack: Stack, with_model: Stack) -> None:
    with Model(with_model) as model:
        assert with_model.reached(model.addresses) == NOWHERE | {"learning": set(model.addresses)}
        (learnt,) = with_model.replayed(TASK)
        assert (learnt["proposers"], learnt["skills_passing_all"]) == ({"llm": 1}, 1)
        assert set(model.asked()) == {f"Bearer {KEY}"}

        stack.renew("learning", REPLICAS)
        assert stack.reached(model.addresses) == NOWHERE
        assert model.serves()


def kept(stack: Stack) -> Any:
    """What the mesh has learnt, as it tells it."""
    skills = stack.command_line("skills", "list")
    assert skills
    return skills

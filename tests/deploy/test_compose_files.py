"""What docker-compose.yml and what is laid over it say, without an engine."""

from pathlib import Path
from typing import Any

import yaml

from autodev_sandbox.settings import SandboxSettings

REPOSITORY = Path(__file__).parents[2]
MODEL = yaml.safe_load((REPOSITORY / "deploy/compose.llm.yml").read_text())
MESH = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())


def ways_out(services: dict[str, Any], networks: dict[str, Any]) -> set[str]:
    """The services in a network that is not internal."""
    open_to_all = {name for name, network in networks.items() if not network.get("internal")}
    return {name for name, service in services.items() if open_to_all & set(service.get("networks", []))}


def test_a_language_model_is_reached_by_learning_alone_and_only_where_it_is_asked_for() -> None:
    assert ways_out(MESH["services"], MESH["networks"]) == {"gateway", "cli"}
    assert set(MODEL["services"]) == ways_out(MODEL["services"], MODEL["networks"]) == {"learning"}
    (secret,) = MODEL["services"]["learning"]["secrets"]
    # A file of AUTODEV_SECRETS_DIR, which is a setting's value by its name.
    assert secret["target"] == "autodev_learning_llm_api_key"
    assert MODEL["secrets"][secret["source"]]["file"] == "./secrets/llm_api_key"
    assert MESH["services"]["learning"]["environment"]["AUTODEV_SECRETS_DIR"] == "/run/secrets"


def test_the_machine_has_no_address_in_networks_that_nothing_leaves() -> None:
    inner = {name: network for name, network in MESH["networks"].items() if network.get("internal")}
    assert set(inner) == {"mesh", "data"}
    for network in inner.values():
        assert network["driver_opts"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}


def test_no_container_can_fill_the_machine() -> None:
    for name, service in MESH["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"] > 0, name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert all("size=" in mount for mount in service.get("tmpfs", [])), name


def test_the_sandbox_has_room_for_several_of_the_greatest_executions_and_gives_way_to_the_others() -> None:
    sandbox = MESH["services"]["sandbox"]
    settings = SandboxSettings.model_fields
    memory = int(sandbox["mem_limit"].removeprefix("${SANDBOX_MEMORY:-").removesuffix("g}")) * 1024**3
    assert memory >= 4 * settings["max_memory_bytes"].default
    assert sandbox["pids_limit"] >= 16 * settings["max_processes"].default
    # The others have 1024, as engines give where nothing is said.
    assert sandbox["cpu_shares"] < 1024
    assert not [name for name, service in MESH["services"].items() if name != "sandbox" and "cpu_shares" in service]

"""What docker-compose.yml and what is laid over it say, without an engine."""

from pathlib import Path
from typing import Any

import yaml

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

"""What a service says that cannot start: one line, which names what is in the way, and no traceback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from autodev_runtime.starting import TOLD_TO_STOP, WRONG_SETTINGS


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def last_words(service: str, stated: Mapping[str, object], data_dir: Path) -> list[str]:
    """What a service with these settings says before it ends."""
    of_a_trial = {"DATA_DIR": data_dir, "PORT": 0, "METRICS_PORT": 0, "INTERNAL_PORT": 0, **stated}
    environment = {f"AUTODEV_{service.upper()}_{name}": str(value) for name, value in of_a_trial.items()}
    command = [sys.executable, "-m", f"autodev_{service}"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=False
    )
    assert ended.returncode == WRONG_SETTINGS
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("service", "setting"),
    [
        ("gateway", "API_KEYS_FILE"),
        ("learning", "SKILL_SIGNING_KEY_FILE"),
        ("learning", "SKILL_TRUSTED_KEYS_FILE"),
    ],
)
def test_a_file_that_cannot_be_used(service: str, setting: str, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert str(missing) in last_words(service, {setting: missing}, tmp_path)[-1]


def test_a_typo_in_a_file(tmp_path: Path) -> None:
    sources = tmp_path / "webhooks.json"
    sources.write_text(json.dumps({"crm": {"tennant": "default", "secrets": ["whsec_x"]}}))
    *_, said = last_words("gateway", {"WEBHOOK_PORT": 1, "WEBHOOK_SECRETS_FILE": sources}, tmp_path)
    assert said.startswith(f"{sources}: crm.tenant: Field required; ")


@pytest.mark.parametrize(("setting", "use"), [("PORT", ""), ("METRICS_PORT", " for metrics")])
def test_a_port_that_is_taken(setting: str, use: str, taken: int, tmp_path: Path) -> None:
    *_, said = last_words("fitness", {setting: taken}, tmp_path)
    assert said.startswith(f"cannot listen on 127.0.0.1:{taken}{use}: ")


def test_a_setting_that_there_is_none_of_is_told_first(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    files = dict.fromkeys(["MESH_CA_FILE", "MESH_CERT_FILE", "MESH_KEY_FILE"], missing)
    told = last_words("fitness", {"COLOUR": "red", **files}, tmp_path)
    assert "AUTODEV_FITNESS_COLOUR: there is no such setting" in told[0]
    assert told[-1] == f"{missing}: No such file or directory"


STARTING = """
import asyncio
from autodev_runtime.starting import run

async def main():
    print("begun", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("over", flush=True)

run(main)
"""


def test_a_service_that_is_told_to_stop_while_it_starts_ends_in_order() -> None:
    command = [sys.executable, "-c", STARTING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        printed, errors = process.communicate(timeout=30)
    assert (printed, errors, process.returncode) == ("over\n", "", TOLD_TO_STOP)

"""The file that says who may send webhooks."""

import json
import logging
import os
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from autodev_gateway.webhooks.sources import SecretsFileError, Sources, sources_in

ONE = "whsec_" + "A" * 32
OTHER = "whsec_" + "B" * 32


def write(path: Path, stated: object) -> None:
    """As an operator or a cluster does it: another file in its place."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(stated if isinstance(stated, str) else json.dumps(stated))
    os.replace(fresh, path)


def is_refused() -> float | None:
    return REGISTRY.get_sample_value("autodev_webhook_secrets_refused")


def test_a_source_has_a_tenant_and_secrets(tmp_path: Path) -> None:
    path = tmp_path / "sources.json"
    write(path, {"crm": {"tenant": "acme", "secrets": [ONE, OTHER]}})
    source = sources_in(path)["crm"]
    assert (source.name, source.tenant, len(source.secrets)) == ("crm", "acme", 2)
    assert repr(source.secrets[0]) not in repr(source)


@pytest.mark.parametrize(
    "stated",
    [
        "",
        "{",
        [],
        {},
        {"crm": {}},
        {"crm": {"tenant": "acme", "secrets": []}},
        {"crm": {"tenant": "*", "secrets": [ONE]}},
        {"crm": {"tenant": "acme", "secrets": [ONE[:-4]]}},
        {"crm": {"tenant": "acme", "secrets": [ONE.removeprefix("whsec_")]}},
        {"crm": {"tenant": "acme", "secrets": [ONE], "secret": ONE}},
        {"a/b": {"tenant": "acme", "secrets": [ONE]}},
        {"": {"tenant": "acme", "secrets": [ONE]}},
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_its_secrets_are_not_told(tmp_path: Path, stated: object) -> None:
    path = tmp_path / "sources.json"
    write(path, stated)
    with pytest.raises(SecretsFileError) as told:
        Sources(path)
    assert "AAAAAAAA" not in str(told.value)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretsFileError):
        Sources(tmp_path / "none")


def test_a_file_that_changes_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "sources.json"
    write(path, {"crm": {"tenant": "acme", "secrets": [ONE]}})
    sources = Sources(path)
    write(path, {"shop": {"tenant": "acme", "secrets": [OTHER]}})
    sources.look()
    assert sources.named("crm") is None
    assert sources.named("shop") is not None
    with caplog.at_level(logging.ERROR):
        write(path, {"crm": {"tenant": "acme", "secrets": ["whsec_!" + "A" * 40]}})
        sources.look()
    assert sources.named("shop") is not None
    assert is_refused() == 1
    assert "stay as they were" in caplog.text
    assert "AAAAAAAA" not in caplog.text
    write(path, {"crm": {"tenant": "acme", "secrets": [ONE]}})
    sources.look()
    assert sources.named("crm") is not None
    assert is_refused() == 0

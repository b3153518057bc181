import pytest
from pydantic import ValidationError

from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.settings import SandboxSettings


def test_levels_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_SANDBOX_LEVELS", "namespace, CONTAINER")
    monkeypatch.setenv("AUTODEV_SANDBOX_MINIMUM", "container")
    settings = SandboxSettings()
    assert settings.levels == {IsolationLevel.NAMESPACE, IsolationLevel.CONTAINER}
    assert settings.effective_minimum is IsolationLevel.CONTAINER


@pytest.mark.parametrize("name", ["AUTODEV_SANDBOX_MINIMUM", "AUTODEV_SANDBOX_LEVELS"])
def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "chroot")
    with pytest.raises(ValidationError):
        SandboxSettings()


def test_the_process_level_is_out_of_reach_unless_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SandboxSettings().effective_minimum is IsolationLevel.NAMESPACE
    monkeypatch.setenv("AUTODEV_SANDBOX_ALLOW_PROCESS", "1")
    assert SandboxSettings().effective_minimum is IsolationLevel.PROCESS


def test_a_pool_has_room_for_every_slot_unless_the_operator_says_otherwise() -> None:
    settings = SandboxSettings(slots=64, spare_slots=2)
    assert settings.container_ceiling > 66
    assert settings.namespace_ceiling > 66
    assert SandboxSettings(namespace_pool_ceiling=0).namespace_ceiling == 0


def test_packages_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_SANDBOX_PACKAGES", "six==1.17.0, numpy==2.1.3")
    assert SandboxSettings().packages == ("numpy==2.1.3", "six==1.17.0")
    monkeypatch.setenv("AUTODEV_SANDBOX_PACKAGES", "six")
    with pytest.raises(ValidationError, match="exact version"):
        SandboxSettings()


def test_one_endpoint_of_spans_is_for_the_whole_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SandboxSettings().otlp_endpoint == ""
    monkeypatch.setenv("AUTODEV_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    assert SandboxSettings().otlp_endpoint == "http://127.0.0.1:4317"

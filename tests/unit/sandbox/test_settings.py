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

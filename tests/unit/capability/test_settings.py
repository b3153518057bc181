"""The service's settings."""

import pytest
from pydantic import ValidationError

from autodev_capability.maturity import GraduationRules
from autodev_capability.settings import CapabilitySettings


def test_the_defaults_are_the_specified_thresholds() -> None:
    assert CapabilitySettings().graduation == GraduationRules(5, 20, 50, 1)


def test_thresholds_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_CAPABILITY_INTERN_SUCCESSES", "2")
    monkeypatch.setenv("AUTODEV_CAPABILITY_REFUTATIONS_TO_DEMOTE", "3")
    assert CapabilitySettings().graduation == GraduationRules(2, 20, 50, 3)


def test_levels_must_rise() -> None:
    with pytest.raises(ValidationError, match="more successes"):
        CapabilitySettings(intern_successes=20)


def test_an_answer_may_be_a_second_old_at_most() -> None:
    with pytest.raises(ValidationError):
        CapabilitySettings(snapshot_s=1.5)

"""Versions, names and rollbacks of skills."""

import hashlib
from datetime import UTC, datetime

import pytest

from autodev_learning.examples import Example
from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.registry import (
    Skill,
    SkillVersion,
    content_sha256,
    entry_points,
    free_name,
    next_minor,
    rollback_target,
)
from autodev_runtime.errors import FailedPrecondition

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def skill(version: str, parent: str) -> Skill:
    active = SkillVersion(version, parent, "", "", "c", Provenance(), (), (), "", "", NOW)
    return Skill("s", "total", "", "a", NOW, active)


def test_the_next_version_follows_the_highest_by_number_not_by_text() -> None:
    assert next_minor(["1.0.0"]) == "1.1.0"
    assert next_minor(["1.9.0", "1.10.0", "1.2.0"]) == "1.11.0"


def test_a_name_that_is_taken_gets_the_first_free_number() -> None:
    assert free_name("total", set()) == "total"
    assert free_name("total", {"total", "total_2", "total_4"}) == "total_3"


def test_the_content_hash_is_of_the_preamble_a_line_feed_and_the_code() -> None:
    assert content_sha256("import math", "x = 1") == hashlib.sha256(b"import math\nx = 1").hexdigest()


def test_entry_points_are_what_the_code_defines_the_called_ones_first() -> None:
    code = "def helper(): ...\n\ndef total(values): ...\n\nclass Money: ...\n"
    assert entry_points(code, [Example("total([len('a')])", "1")]) == ("total", "helper", "Money")


def test_a_rollback_goes_to_the_parent_or_to_the_version_that_is_named() -> None:
    assert rollback_target(skill("1.2.0", "1.1.0"), "") == "1.1.0"
    assert rollback_target(skill("1.2.0", "1.1.0"), "1.0.0") == "1.0.0"


def test_a_first_version_has_no_earlier_one() -> None:
    with pytest.raises(FailedPrecondition) as error:
        rollback_target(skill("1.0.0", ""), "")
    assert error.value.reason == "NO_EARLIER_VERSION"

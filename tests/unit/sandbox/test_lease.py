"""A lease tells the dead from the living."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autodev_sandbox import lease

HOLDER = """
import sys, time
from pathlib import Path
from autodev_sandbox import lease
held = lease.take(Path(sys.argv[1]))
print(held.name, flush=True)
time.sleep(600)
"""


def heirs_find(folder: Path) -> list[str]:
    with lease.inherited(folder) as dead:
        return dead


def holder(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    """Another process with a lease, and its lease's name."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_a_holder_is_known_and_has_no_heir(tmp_path: Path) -> None:
    held = lease.take(tmp_path)
    assert held.name.startswith(f"{os.getpid()}-")
    assert lease.known(tmp_path, held.name)
    assert heirs_find(tmp_path) == []
    held.release()
    assert not lease.known(tmp_path, held.name)
    assert list(tmp_path.iterdir()) == []


def test_one_that_lets_go_without_a_release_is_inherited_once(tmp_path: Path) -> None:
    held = lease.take(tmp_path)
    held.abandon()
    assert heirs_find(tmp_path) == [held.name]
    assert heirs_find(tmp_path) == []


def test_a_killed_process_is_inherited_and_a_living_one_is_not(tmp_path: Path) -> None:
    process, name = holder(tmp_path)
    try:
        assert heirs_find(tmp_path) == []
        assert lease.known(tmp_path, name)
    finally:
        process.kill()
        process.wait()
    assert heirs_find(tmp_path) == [name]


def test_an_heir_that_fails_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    held = lease.take(tmp_path)
    held.abandon()
    with pytest.raises(OSError, match="no engine"), lease.inherited(tmp_path):
        raise OSError("no engine")
    assert heirs_find(tmp_path) == [held.name]


def test_two_heirs_do_not_share(tmp_path: Path) -> None:
    lease.take(tmp_path).abandon()
    with lease.inherited(tmp_path) as first:
        assert len(first) == 1
        assert heirs_find(tmp_path) == []


@pytest.mark.parametrize("name", ["", "../x", "1-../../etc", "x-0123456789ab"])
def test_what_is_no_name_is_not_known(tmp_path: Path, name: str) -> None:
    assert not lease.known(tmp_path, name)

"""Where groups are looked for, what is written there, and what is swept. That limits work is the conformance suite's
to say, on this machine's own groups."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from autodev_sandbox import cgroup
from autodev_sandbox.execution import Limits


def tree(mount: Path, *folders: str, controllers: str = "cpu memory pids") -> None:
    for folder in folders:
        place = mount / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "cgroup.procs").touch()
        (place / "cgroup.subtree_control").write_text(controllers)


def member(folder: Path, text: str) -> Path:
    path = folder / "membership"
    path.write_text(text)
    return path


def test_version_2_takes_the_nearest_parent_that_passes_its_controllers_on(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    tree(mount, "", "user.slice")
    tree(mount, "user.slice/app.scope", controllers="")
    found = cgroup.find(mount, member(tmp_path, "0::/user.slice/app.scope\n"))
    assert found
    assert (found.version, found.parents["memory"]) == (2, mount / "user.slice")


def test_version_2_without_the_memory_controller_is_none(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    tree(mount, "", controllers="cpu pids")
    assert cgroup.find(mount, member(tmp_path, "0::/\n")) is None


def test_version_1_takes_each_controllers_own_group(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    for folder in ("memory/service", "pids", "cpu"):
        (mount / folder).mkdir(parents=True)
        (mount / folder / "cgroup.procs").touch()
    found = cgroup.find(mount, member(tmp_path, "4:memory:/service\n3:pids:/\n2:cpu,cpuacct:/elsewhere\n"))
    assert found
    assert found.version == 1
    # A path that is not under the mount is the host's, seen from a container.
    assert found.parents == {"memory": mount / "memory/service", "pids": mount / "pids", "cpu": mount / "cpu"}


def test_no_groups_at_all_is_none(tmp_path: Path) -> None:
    assert cgroup.find(tmp_path / "cgroup", member(tmp_path, "0::/\n")) is None
    assert cgroup.find(tmp_path, tmp_path / "missing") is None


def service(mount: Path, version: int = 2) -> cgroup.Cgroups:
    """A service's groups on a file system that is none of control groups: only names and contents can be seen."""
    mount.mkdir(exist_ok=True)
    made = cgroup.Cgroups(dict.fromkeys(cgroup.CONTROLLERS, mount), version)
    made.sweep()
    return made


def test_a_service_that_sweeps_takes_no_folder_from_one_that_starts(tmp_path: Path) -> None:
    sweeping, ended = service(tmp_path, 1), threading.Event()

    def sweep() -> None:
        while not ended.is_set():
            sweeping.sweep()

    with ThreadPoolExecutor() as threads:
        swept = threads.submit(sweep)
        try:
            for _ in range(300):
                starting = cgroup.Cgroups(sweeping.parents, 1)
                starting.claim()
                group = starting.make()
                for place in group.places:
                    place.rmdir()
                starting.release()
        finally:
            ended.set()
        swept.result()


def test_a_living_services_groups_are_not_swept_and_a_dead_ones_are(tmp_path: Path) -> None:
    dead, living = service(tmp_path, 1), service(tmp_path, 1)
    dead.claim()
    living.claim()
    for each in (dead, living):
        each.make()
    for lock in dead.locks:  # As the kernel does when the service dies.
        os.close(lock)
    service(tmp_path, 1)
    assert list(tmp_path.iterdir()) == [living.homes["memory"]]
    assert len(list(living.homes["memory"].iterdir())) == 1


async def test_groups_and_their_folder_go_with_the_service(tmp_path: Path) -> None:
    groups = service(tmp_path, 1)
    groups.claim()
    group = groups.make()
    await group.remove()
    groups.release()
    assert list(tmp_path.iterdir()) == []


def files(group: cgroup.Group, *names: str) -> None:
    for name in names:
        (group.folders["memory"] / name).touch()


def contents(group: cgroup.Group) -> dict[str, str]:
    return {path.name: path.read_text() for path in group.folders["memory"].iterdir() if path.read_text()}


def group(place: Path, version: int) -> cgroup.Group:
    place.mkdir()
    return cgroup.Group(dict.fromkeys(cgroup.CONTROLLERS, place), version)


def test_version_2_limits(tmp_path: Path) -> None:
    made = group(tmp_path / "nest", 2)
    files(made, "memory.max", "memory.swap.max", "pids.max", "cpu.max")
    made.set_limits(Limits(memory_bytes=1000, cpus=0.5, processes=5), own_bytes=10, own_processes=2)
    assert contents(made) == {
        "memory.max": "1010",
        "memory.swap.max": "0",
        "pids.max": "7",
        "cpu.max": "50000 100000",
    }


def test_version_1_limits(tmp_path: Path) -> None:
    made = group(tmp_path / "nest", 1)
    files(made, "memory.limit_in_bytes", "pids.max", "cpu.cfs_period_us", "cpu.cfs_quota_us")
    made.set_limits(Limits(memory_bytes=1000, cpus=2, processes=5), own_bytes=10, own_processes=2)
    # Without swap accounting there is no file for memory and swap together.
    assert contents(made) == {
        "memory.limit_in_bytes": "1010",
        "pids.max": "7",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "200000",
    }


def test_only_what_changes_is_written(tmp_path: Path) -> None:
    made = group(tmp_path / "nest", 2)
    files(made, "memory.max", "memory.swap.max", "pids.max", "cpu.max")
    made.set_limits(Limits(), own_bytes=0, own_processes=2)
    for path in made.folders["memory"].iterdir():
        path.write_text("")
    made.set_limits(replace(Limits(), processes=7), own_bytes=0, own_processes=2)
    assert contents(made) == {"pids.max": "9"}


def test_what_files_on_disk_are_cached_with_is_not_held_against_a_nest(tmp_path: Path) -> None:
    made = group(tmp_path / "nest", 2)
    (made.folders["memory"] / "memory.current").write_text("1000\n")
    (made.folders["memory"] / "memory.stat").write_text("anon 300\nfile 700\nshmem 100\n")
    assert made.used_bytes() == 400
    assert made.uses_more_than(399)
    assert not made.uses_more_than(400)


def test_the_peak_of_version_2_is_zero_where_the_kernel_cannot_start_it_anew(tmp_path: Path) -> None:
    made = group(tmp_path / "nest", 2)
    made.forget_peak()
    assert made.peak_bytes() == 0

"""Where groups are looked for. That limits work is the conformance suite's to say, on this machine's own groups."""

from pathlib import Path

from autodev_sandbox import cgroup


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

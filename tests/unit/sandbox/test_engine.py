"""What an engine says is taken apart rightly: its streams, its address, its account of itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from autodev_sandbox.backends.attached import Address, EngineRefuses, attach, engine_address, events
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.backends.engine_facilities import facilities_of
from autodev_sandbox.execution import BackendUnavailable

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
INFO = {
    "ServerVersion": "27.0",
    "OperatingSystem": "Debian",
    "DefaultRuntime": "runc",
    "Runtimes": {"runc": {}},
    "MemoryLimit": True,
    "SwapLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
}

NAMED = {"memory": "memory", "pids": "processes"}


class Engine:
    """Answers every connection with the same bytes, in pieces, and keeps what it was asked."""

    def __init__(self, *answer: bytes) -> None:
        self.answer = answer
        self.asked = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = await reader.readuntil(b"\r\n\r\n")
        for piece in self.answer:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()


@pytest.fixture
async def address(tmp_path: Path, engine: Engine) -> AsyncIterator[Address]:
    async with await asyncio.start_unix_server(engine.serve, tmp_path / "engine"):
        yield Address(path=str(tmp_path / "engine"))


def answered(facts: dict[str, object]) -> Engine:
    """One that answers each question with all of this."""
    return Engine(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(facts).encode())


LIMITLESS = {
    "memory": answered(INFO | {"ApiVersion": "1.41", "MemoryLimit": False}),
    "pids": answered(INFO | {"ApiVersion": "1.41", "PidsLimit": False}),
}


@pytest.mark.parametrize(("controller", "engine"), LIMITLESS.items(), ids=LIMITLESS)
async def test_an_engine_that_keeps_no_limits_is_not_used(
    address: Address, controller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{address.path}")
    backend = ContainerBackend(tmp_path)
    with pytest.raises(BackendUnavailable, match=f"bounds no container's {controller}"):
        await backend.probe()
    assert not {each.name: each.available for each in backend.facilities()}[f"{NAMED[controller]} cgroup"]
    await backend.close()


def frame(kind: int, data: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


FRAMES = frame(1, b"one") + frame(2, b"complaint") + frame(1, b"") + frame(1, b"two")


@pytest.mark.parametrize(
    "engine", [Engine(UPGRADED + FRAMES), Engine(UPGRADED, *(FRAMES[n : n + 1] for n in range(len(FRAMES))))]
)
async def test_stdout_is_taken_out_of_the_frames_however_they_come(address: Address, engine: Engine) -> None:
    attached = await attach(address, "name")
    assert [await attached.receive() for _ in range(3)] == [b"one", b"two", b""]
    assert attached.complaint == b"complaint"
    assert not attached.open
    await attached.send(b"into the void")
    attached.close()
    assert engine.asked.startswith(b"POST /containers/name/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("engine", [Engine(UPGRADED, frame(2, b"rea"), frame(2, b"dy\n"), frame(1, b"answer"))])
async def test_a_supervisor_says_when_it_is_ready(address: Address) -> None:
    attached = await attach(address, "name")
    assert await attached.ready()
    assert await attached.receive() == b"answer"
    assert attached.complaint == b""
    attached.close()


@pytest.mark.parametrize("engine", [Engine(UPGRADED, frame(2, b"ImportError: no module"))])
async def test_one_that_ends_before_it_is_ready_says_why(address: Address) -> None:
    attached = await attach(address, "name")
    assert not await attached.ready()
    assert attached.complaint == b"ImportError: no module"
    attached.close()


@pytest.mark.parametrize("engine", [Engine(UPGRADED + frame(1, b"whole") + frame(1, b"torn")[:-2])])
async def test_a_torn_frame_is_an_end(address: Address) -> None:
    attached = await attach(address, "name")
    assert [await attached.receive() for _ in range(2)] == [b"whole", b""]
    attached.close()


@pytest.mark.parametrize("engine", [Engine(b"HTTP/1.1 404 Not Found\r\n\r\n", b'{"message":"No such container"}')])
async def test_a_refusal_says_why(address: Address) -> None:
    with pytest.raises(EngineRefuses, match="No such container"):
        await attach(address, "name")


@pytest.mark.parametrize("engine", [Engine(), Engine(b"nonsense\r\n\r\n"), Engine(b"HTTP/1.1 200")])
async def test_what_is_no_answer_is_an_error(address: Address) -> None:
    with pytest.raises(EngineRefuses, match="no answer"):
        await attach(address, "name")


@pytest.mark.parametrize(
    "engine", [Engine(b"HTTP/1.0 200 OK\r\n\r\n", b'{"Action":"die","Actor":{"ID":"a"}}\n{"Acti', b'on":"oom",')]
)
async def test_events_come_as_lines_until_the_engine_ends(address: Address) -> None:
    assert [event async for event in events(address, "label=1")] == [("", ""), ("a", "die")]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("", Address(path="/var/run/docker.sock")),
        ("unix:///tmp/engine.sock", Address(path="/tmp/engine.sock")),
        ("tcp://127.0.0.1:2375", Address(host="127.0.0.1", port=2375)),
        ("tcp://[::1]:2375", Address(host="::1", port=2375)),
    ],
)
def test_the_engine_is_where_the_environment_says(host: str, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert engine_address() == address


def test_an_engine_behind_ssh_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://host")
    with pytest.raises(ValueError, match="forward its socket"):
        engine_address()


def test_facilities_are_what_the_engine_has() -> None:
    given = {facility.name: facility for facility in facilities_of(INFO, None)}
    assert {name for name, facility in given.items() if not facility.available} == {
        "gVisor",
        "mandatory access control",
        "user namespace",
    }
    assert "cgroup version 2" in given["memory cgroup"].detail
    assert "install" in given["gVisor"].detail


@pytest.mark.parametrize(
    ("change", "name", "available"),
    [
        ({"SecurityOptions": ["name=userns", "name=apparmor"]}, "user namespace", True),
        ({"SecurityOptions": ["name=apparmor"]}, "mandatory access control", True),
        ({"SecurityOptions": None}, "seccomp", False),
        ({"SecurityOptions": ["name=seccomp,profile=unconfined"]}, "seccomp", False),
        ({"PidsLimit": False}, "processes cgroup", False),
    ],
)
def test_what_the_engine_lacks_or_adds_is_told(change: dict[str, object], name: str, available: bool) -> None:
    given = {facility.name: facility for facility in facilities_of(INFO | change, None)}
    assert given[name].available is available


def test_gvisor_is_told_by_the_level_that_uses_it() -> None:
    has = INFO | {"Runtimes": {"runc": {}, "runsc": {}}}
    assert [f.available for f in facilities_of(has, "runsc") if f.name == "gVisor"] == [True]
    assert [f.detail for f in facilities_of(has, None) if f.name == "gVisor"] == [
        "the engine has it: ask for CONTAINER_GVISOR"
    ]


def test_nothing_is_said_of_an_engine_that_never_answered() -> None:
    assert facilities_of({}, None) == []

"""What a mesh of this machine needs before it starts: ports, environments, a directory of its own."""

import multiprocessing
import os
import socket
from dataclasses import fields, replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from autodev_cli import sandbox
from autodev_cli.errors import CommandError
from autodev_cli.mesh import lock, state
from autodev_cli.mesh.layout import HOST, SERVICES, MeshPlan, Ports, free_ports, ports_named, require_free
from autodev_cli.mesh.public_door import CERTIFICATE, public_certificate
from autodev_cli.mesh.supervisor import State, Status
from autodev_cli.mesh.view import text_of
from autodev_cli.options import Connection, Output
from autodev_cli.target import find
from autodev_sandbox import levels
from tests.certificates import certificates_in


def numbers(ports: Ports) -> list[int]:
    return [getattr(ports, field.name) for field in fields(ports)]


def test_default_ports_are_those_of_the_settings() -> None:
    assert ports_named("default").gateway == 50051


def test_a_number_counts_from_there() -> None:
    assert numbers(ports_named("6000")) == list(range(6000, 6007))


def test_automatic_ports_are_none_that_the_system_gives_to_others() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port < first for port in free_ports(200))


def test_automatic_ports_all_differ() -> None:
    assert len(set(numbers(ports_named("auto")))) == len(fields(Ports))


@pytest.mark.parametrize("choice", ["", "some", "0", "-1", "65535", "1.5"])
def test_other_ports_are_refused(choice: str) -> None:
    with pytest.raises(CommandError, match="give default, auto, or a number"):
        ports_named(choice)


def test_a_taken_port_is_named() -> None:
    ports = ports_named("auto")
    with socket.socket() as taken:
        taken.bind((HOST, ports.learning))
        taken.listen()
        with pytest.raises(CommandError, match=rf"port {ports.learning} \(learning\) is taken.*--ports auto"):
            require_free(ports)
    require_free(ports)


def test_every_service_hears_of_those_that_it_asks() -> None:
    plan = MeshPlan(Path("data"), Ports(), "acme")
    for service in SERVICES:
        prefix = f"AUTODEV_{service.upper()}_"
        environment = plan.environment(service, {})
        assert environment[f"{prefix}GATEWAY_ADDRESS"] == "127.0.0.1:50050"
        asks_the_sandbox = service in ("gateway", "learning")
        assert environment.get(f"{prefix}SANDBOX_ADDRESS") == ("127.0.0.1:50055" if asks_the_sandbox else None)
        assert environment[f"{prefix}DATA_DIR"] == str(Path("data").resolve())
    assert plan.environment("gateway", {})["AUTODEV_GATEWAY_DEVELOPMENT_TENANTS"] == "acme"


def test_what_the_operator_set_stays_unless_the_mesh_decides_it() -> None:
    plan = MeshPlan(Path("data"), Ports(), "acme")
    environment = plan.environment("learning", {"AUTODEV_LEARNING_DRAIN_S": "9", "AUTODEV_LEARNING_PORT": "1"})
    assert environment["AUTODEV_LEARNING_DRAIN_S"] == "9"
    assert environment["AUTODEV_LEARNING_PORT"] == "50053"


def test_the_process_sandbox_is_on_only_when_asked_for() -> None:
    name = "AUTODEV_SANDBOX_ALLOW_PROCESS"
    assert name not in MeshPlan(Path("data"), Ports(), "acme").environment("sandbox", {})
    allowed = MeshPlan(Path("data"), Ports(), "acme", allow_process_sandbox=True)
    assert allowed.environment("sandbox", {})[name] == "true"
    assert name not in allowed.environment("learning", {})


def test_certificates_are_the_meshs_own_or_none() -> None:
    inherited = {"AUTODEV_MESH_CA_FILE": "other", "AUTODEV_FITNESS_MESH_KEY_FILE": "other"}
    plain = MeshPlan(Path("data"), Ports(), "acme").environment("fitness", inherited)
    assert not [name for name in plain if "MESH" in name]
    told = MeshPlan(Path("data"), Ports(), "acme", mutual_tls=True).environment("fitness", inherited)
    assert {name: value for name, value in told.items() if "MESH" in name} == {
        "AUTODEV_FITNESS_MESH_CA_FILE": str(Path("data/certs/fitness/ca.crt").resolve()),
        "AUTODEV_FITNESS_MESH_CERT_FILE": str(Path("data/certs/fitness/tls.crt").resolve()),
        "AUTODEV_FITNESS_MESH_KEY_FILE": str(Path("data/certs/fitness/tls.key").resolve()),
    }


def test_commands_trust_the_certificate_that_the_gateway_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CERTIFICATE, raising=False)
    assert public_certificate() is None
    certificates = certificates_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CERTIFICATE, "public/tls.crt")
    assert public_certificate() == certificates.files("public").certificate
    monkeypatch.setenv(CERTIFICATE, "gateway/tls.crt")
    with pytest.raises(CommandError, match=r"tls.crt is for gateway.autodev.internal, .* come to 127.0.0.1"):
        public_certificate()


def test_a_mesh_with_such_a_certificate_is_where_commands_find_it(tmp_path: Path) -> None:
    certificate = certificates_in(tmp_path / "certs").files("public").certificate
    state.write(tmp_path, state.MeshState(os.getpid(), "127.0.0.1:1", {}, str(certificate)))
    options = Connection(None, "k", tmp_path, "default", Output.TEXT)
    assert find(options).root_certificates == certificate.read_bytes()
    named = tmp_path / "certs" / "ca.crt"
    assert find(replace(options, ca_file=str(named))).root_certificates == named.read_bytes()
    assert find(replace(options, address="127.0.0.1:2")).root_certificates is None


def hold(directory: Path, held: Event, let_go: Event) -> None:
    with lock.held(directory):
        held.set()
        let_go.wait(20)


def test_one_directory_has_one_mesh_and_its_holder_is_named(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, let_go = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=hold, args=(tmp_path / "data", held, let_go))
    holder.start()
    assert held.wait(20)
    with (
        pytest.raises(CommandError, match=rf"another mesh \(process {holder.pid}\) uses"),
        lock.held(tmp_path / "data"),
    ):
        raise AssertionError("two meshes have the directory")
    let_go.set()
    holder.join(20)
    with lock.held(tmp_path / "data"):
        pass


def test_a_lock_ends_with_its_holder_however_it_ends(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, let_go = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=hold, args=(tmp_path, held, let_go))
    holder.start()
    assert held.wait(20)
    holder.kill()
    holder.join(20)
    with lock.held(tmp_path):
        pass


def test_the_state_is_found_while_its_supervisor_lives(tmp_path: Path) -> None:
    written = state.MeshState(os.getpid(), "127.0.0.1:1", {"gateway": "127.0.0.1:1"})
    state.write(tmp_path, written)
    assert state.read(tmp_path) == written
    state.remove(tmp_path)
    assert state.read(tmp_path) is None


def test_the_state_of_a_supervisor_that_is_gone_is_no_state(tmp_path: Path) -> None:
    ended = multiprocessing.get_context("spawn").Process(target=int)
    ended.start()
    ended.join(20)
    assert ended.pid is not None
    state.write(tmp_path, state.MeshState(ended.pid, "127.0.0.1:1", {}))
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_broken_state_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / state.FILE).write_text(text)
    assert state.read(tmp_path) is None


def test_a_services_line_says_where_it_stands_and_why() -> None:
    died = Status("learning", State.WAITING, None, 2, "ended with status 1; starts again in 0.4 s")
    line = text_of(died, Ports()).plain
    assert line.split() == [
        *("learning", "died", "127.0.0.1:50053", "restarted", "2×"),
        *("ended", "with", "status", "1;", "starts", "again", "in", "0.4", "s"),
    ]


def test_a_command_knows_a_level_that_the_sandbox_has_not_tried() -> None:
    assert sandbox.NOT_TRIED == levels.NOT_TRIED

"""What commands say where they and the gateway do not speak the same: TLS, plain text, or by another authority."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from autodev_cli.certs.directory import CertificateDirectory
from autodev_cli.failures import line_of
from autodev_cli.quiet import VERBOSITY, grpc_silent
from tests.certificates import certificates_in

RUN_S = 60.0


@dataclass(frozen=True)
class Doors:
    """Where a server listens, once as its certificate does not have it, and the file of who signed that."""

    plain: str
    tls: str
    misnamed: str
    ca_file: Path


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    certificates = certificates_in(tmp_path / "certs")
    credentials = credentials_of(certificates)
    server = grpc.aio.server()
    plain = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    tls = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    misnamed = f"127.0.0.2:{server.add_secure_port('127.0.0.2:0', credentials)}"
    await server.start()
    yield Doors(plain, tls, misnamed, certificates.path / "ca.crt")
    await server.stop(None)


def credentials_of(certificates: CertificateDirectory) -> grpc.ServerCredentials:
    files = certificates.files("public")
    return grpc.ssl_server_credentials([(files.key.read_bytes(), files.certificate.read_bytes())])


async def refused(address: str, *options: str, **environment: str) -> str:
    """What a command that must fail prints on stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autodev_cli", "skills", "list", "--api-key", "k", "--address", address, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**{name: value for name, value in os.environ.items() if name != VERBOSITY}, **environment},
    )
    async with asyncio.timeout(RUN_S):
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    return err.decode()


async def test_plain_text_at_a_tls_port_is_told(doors: Doors) -> None:
    assert await refused(doors.tls) == f"autodev: {doors.tls} speaks TLS, or is no gateway: give --ca-file\n"


async def test_tls_at_a_plain_port_is_told_in_one_line(doors: Doors) -> None:
    assert await refused(doors.plain, "--ca-file", str(doors.ca_file)) == (
        f"autodev: {doors.plain} speaks plain text: leave --ca-file (AUTODEV_CA_FILE) out\n"
    )


async def test_a_certificate_of_another_authority_is_told_in_one_line(doors: Doors, tmp_path: Path) -> None:
    other = certificates_in(tmp_path / "other").path / "ca.crt"
    assert await refused(doors.tls, "--ca-file", str(other)) == (
        f"autodev: {doors.tls} has a certificate that does not hold by --ca-file: unable to get local issuer "
        "certificate\n"
    )


async def test_a_certificate_for_other_names_is_told(doors: Doors) -> None:
    assert await refused(doors.misnamed, "--ca-file", str(doors.ca_file)) == (
        f"autodev: {doors.misnamed} has a certificate for other names: give one of them by --address\n"
    )


async def test_who_wants_what_grpc_prints_gets_it(doors: Doors) -> None:
    told = await refused(doors.plain, "--ca-file", str(doors.ca_file), GRPC_VERBOSITY="INFO")
    assert "ssl_transport_security.cc" in told


def test_a_connection_that_is_lost_under_a_call_is_no_mismatch() -> None:
    lost = "Stream removed (Socket closed)"
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), lost)
    assert line_of(error, "here:1").startswith(f"no answer from here:1 ({lost}): is the mesh up?")


def test_the_services_of_a_mesh_that_is_started_here_hear_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VERBOSITY, raising=False)
    with grpc_silent():
        assert os.environ[VERBOSITY] == "NONE"
    assert VERBOSITY not in os.environ

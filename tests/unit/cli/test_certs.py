"""`autodev certs`: an authority of one's own, without accidents."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from autodev_cli.certs import directory
from autodev_cli.certs.authority import Authority, Subject
from autodev_cli.certs.directory import FORETOLD, LIFETIME, PUBLIC, SERVICES, CertificateDirectory
from autodev_cli.errors import CommandError
from autodev_runtime.certificates import agreed
from autodev_runtime.peers import name_of
from tests.unit.cli.test_commands import autodev


@pytest.fixture
def made(tmp_path: Path) -> CertificateDirectory:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.create(["gateway.example", "10.0.0.7"])
    return directory


def contents(directory: CertificateDirectory) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}


def test_each_service_has_a_certificate_for_its_own_name_alone(made: CertificateDirectory) -> None:
    for service in SERVICES:
        files = made.files(service)
        assert files.authority is not None
        material = agreed(files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes())
        assert material.names == {name_of(service)}
        assert made.held(service).hosts == (name_of(service),)
    assert made.held(PUBLIC).hosts == ("localhost", "127.0.0.1", "::1", "gateway.example", "10.0.0.7")


def test_what_clients_reach_cannot_be_a_client_of_services(made: CertificateDirectory) -> None:
    certificate = x509.load_pem_x509_certificate(made.files(PUBLIC).certificate.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]


def test_nobody_else_reads_a_key(made: CertificateDirectory) -> None:
    for path in made.path.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600 if path.suffix == ".key" else 0o644), path
    assert made.path.stat().st_mode & 0o777 == 0o700


def test_a_renewal_keeps_names_and_authority_and_makes_new_keys(made: CertificateDirectory) -> None:
    before, held = contents(made), made.all()
    made.renew()
    after = contents(made)
    assert before.keys() == after.keys()
    assert {path.name for path in before if before[path] != after[path]} == {"tls.crt", "tls.key"}
    assert not {path for path in before if path.name.startswith("tls.") and before[path] == after[path]}
    assert [(each.name, each.hosts) for each in made.all()] == [(each.name, each.hosts) for each in held]


def test_nothing_outlives_its_authority() -> None:
    authority = Authority.new(timedelta(days=1))
    pair = authority.issue(Subject("learning", ["learning.example"]), timedelta(days=30))
    assert x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc <= authority.expires


@pytest.mark.parametrize(
    "host", ["", "-" * 64, "a b", "gateway.autodev.internal", "autodev.internal", "a..b", "host:1", "ex/ample"]
)
def test_a_host_that_is_none_or_a_services_is_refused(host: str, tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    with pytest.raises(CommandError, match="--host"):
        directory.create([host])
    assert not directory.made


def test_what_is_valid_is_kept_and_what_is_past_its_middle_is_renewed(tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.keep_valid()
    before = contents(directory)
    directory.keep_valid()
    assert contents(directory) == before
    directory.renew(LIFETIME / 3)
    directory.keep_valid()
    assert all(each.expires - datetime.now(UTC) > LIFETIME / 2 for each in directory.all())
    assert directory.path.joinpath("ca.key").read_bytes() == before[directory.path / "ca.key"]
    directory.create(authority_lifetime=LIFETIME / 2)
    directory.keep_valid()
    assert directory.held("ca").expires - datetime.now(UTC) > LIFETIME


def test_who_keeps_certificates_keeps_the_public_names(tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.create(["gateway.example"], authority_lifetime=LIFETIME / 2)
    hosts = directory.held(PUBLIC).hosts
    assert "gateway.example" in hosts
    directory.keep_valid()
    assert directory.held(PUBLIC).hosts == hosts
    assert directory.held("ca").expires - datetime.now(UTC) > LIFETIME


def trusted(directory: CertificateDirectory, name: str) -> list[x509.Certificate]:
    path = directory.files(name).authority
    assert path is not None
    return x509.load_pem_x509_certificates(path.read_bytes())


def agreed_files(directory: CertificateDirectory, name: str) -> None:
    """A service takes them."""
    files = directory.files(name)
    assert files.authority is not None
    agreed(files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes())


def signed_by(directory: CertificateDirectory, name: str) -> list[int]:
    """Which of those that are trusted have signed a certificate: 0 is the first."""
    certificate = x509.load_pem_x509_certificate(directory.files(name).certificate.read_bytes())
    return [place for place, each in enumerate(trusted(directory, name)) if _signs(each, certificate)]


def _signs(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except InvalidSignature:
        return False
    return True


def test_an_authority_is_trusted_before_it_signs_and_until_its_end(tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.create(["gateway.example"], authority_lifetime=FORETOLD - timedelta(hours=1))
    (old,) = trusted(directory, PUBLIC)
    certificates = {name: directory.files(name).certificate.read_bytes() for name in (*SERVICES, PUBLIC)}

    directory.keep_valid()
    for name in (*SERVICES, PUBLIC):
        first, following = trusted(directory, name)
        assert first == old
        assert directory.files(name).certificate.read_bytes() == certificates[name]
    directory.keep_valid()
    assert trusted(directory, PUBLIC) == [old, following]

    nearly_over = datetime.now(UTC) + FORETOLD - LIFETIME
    directory.keep_valid(nearly_over)
    for name in (*SERVICES, PUBLIC):
        assert trusted(directory, name) == [following, old]
        assert signed_by(directory, name) == [0]
        agreed_files(directory, name)
    assert "gateway.example" in directory.held(PUBLIC).hosts
    assert not list(directory.path.glob("next.*"))
    assert directory.authority().pair.certificate == following.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("written", range(24))
def test_one_that_follows_does_so_wherever_it_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.create(authority_lifetime=FORETOLD - timedelta(hours=1))
    directory.keep_valid()
    _, following = trusted(directory, PUBLIC)
    nearly_over = datetime.now(UTC) + FORETOLD - LIFETIME
    end_after(monkeypatch, written)
    with contextlib.suppress(KeyboardInterrupt):
        directory.keep_valid(nearly_over)
    monkeypatch.undo()
    directory.keep_valid(nearly_over)
    for name in (*SERVICES, PUBLIC):
        assert trusted(directory, name)[0] == following
        assert signed_by(directory, name) == [0]
    assert directory.authority().pair.certificate == following.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("lost", [*SERVICES, PUBLIC])
def test_who_keeps_certificates_makes_those_that_are_gone(lost: str, tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.create()
    authority = (directory.path / "ca.crt").read_bytes()
    shutil.rmtree(directory.path / lost)
    directory.keep_valid()
    assert directory.held(lost).expires - datetime.now(UTC) > LIFETIME / 2
    assert (directory.path / "ca.crt").read_bytes() == authority


def end_after(monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """The process is ended when it has written so many files."""
    files_before_end, write = iter(range(written)), directory._write

    def write_some(path: Path, content: bytes, mode: int) -> None:
        if next(files_before_end, None) is None:
            raise KeyboardInterrupt
        write(path, content, mode)

    monkeypatch.setattr(directory, "_write", write_some)


@pytest.mark.parametrize("written", [0, 2, 9, 18, 19])
def test_what_was_ended_while_it_was_made_is_made_anew(
    written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = CertificateDirectory(tmp_path)
    certificates.create()
    end_after(monkeypatch, written)
    with pytest.raises(KeyboardInterrupt):
        certificates.create()
    monkeypatch.undo()
    certificates.keep_valid()
    for name in (*SERVICES, PUBLIC):
        agreed_files(certificates, name)
        assert [trusted(certificates, name)[0]] == x509.load_pem_x509_certificates((tmp_path / "ca.crt").read_bytes())


def test_an_authority_that_is_nearly_over_signs_nothing_more(tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    directory.create(authority_lifetime=LIFETIME / 3)
    with pytest.raises(CommandError, match="certs create --force"):
        directory.renew()


def test_the_command_makes_lists_and_renews_and_overwrites_only_when_told(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    made = autodev("certs", "create", "--dir", str(directory), "--host", "gateway.example", "--days", "2", "-o", "json")
    assert made.returncode == 0, made.stderr
    assert [each["name"] for each in json.loads(made.stdout)] == ["ca", *SERVICES, PUBLIC]
    assert "gateway.example" in json.loads(made.stdout)[-1]["hosts"]
    before = contents(CertificateDirectory(directory))

    again = autodev("certs", "create", "--dir", str(directory))
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
    assert "--force" in again.stderr
    assert contents(CertificateDirectory(directory)) == before

    assert autodev("certs", "renew", "--dir", str(directory)).returncode == 0
    assert "learning.autodev.internal" in autodev("certs", "list", "--dir", str(directory)).stdout
    assert autodev("certs", "create", "--dir", str(directory), "--force").returncode == 0
    assert contents(CertificateDirectory(directory))[directory / "ca.key"] != before[directory / "ca.key"]


def test_where_there_is_nothing_it_says_how_to_make_it(tmp_path: Path) -> None:
    for command in ("renew", "list"):
        told = autodev("certs", command, "--dir", str(tmp_path / "none"))
        assert told.returncode == 1
        assert "autodev certs create" in told.stderr


def test_keeping_makes_what_is_missing_at_once_and_renews_until_told_to_end(tmp_path: Path) -> None:
    directory = CertificateDirectory(tmp_path / "certs")
    command = [sys.executable, "-m", "autodev_cli", "certs", "keep", "--dir", str(directory.path), "--every", "1"]
    with subprocess.Popen(command) as keeping:
        try:
            wait_for(lambda: directory.made)
            # Past the middle of its time, by being made short.
            directory.renew(LIFETIME / 3)
            soon = directory.held("learning").expires
            wait_for(lambda: directory.held("learning").expires > soon)
            keeping.terminate()
            assert keeping.wait(30) == 0
        finally:
            keeping.kill()


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)

"""Where an authority and what it signed are kept.

    ca.crt  ca.key
    gateway/ capability/ learning/ fitness/ sandbox/    ca.crt tls.crt tls.key: a service's, for its peers
    public/                                             the same: the gateway's, for clients

The three files have the names that Kubernetes' certificates have, so that a service's folder can be mounted as it is.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from cryptography import x509

from autodev_cli.certs.authority import Authority, Pair, Subject
from autodev_cli.errors import CommandError
from autodev_runtime.peers import CALLERS, DOMAIN, name_of
from autodev_runtime.settings import CertificateFiles

SERVICES = tuple(CALLERS)
PUBLIC = "public"
AUTHORITY = "ca"
LOCAL: tuple[str | IPv4Address | IPv6Address, ...] = ("localhost", ip_address("127.0.0.1"), ip_address("::1"))
LIFETIME = timedelta(days=7)
AUTHORITY_LIFETIME = timedelta(days=90)


@dataclass(frozen=True)
class Held:
    """A certificate of the directory."""

    name: str
    hosts: tuple[str, ...]
    expires: datetime


class CertificateDirectory:
    """The files of an authority."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def made(self) -> bool:
        """Whether there is an authority in it."""
        return (self.path / "ca.key").exists()

    def files(self, name: str) -> CertificateFiles:
        """Where the certificate of a service is, or of `public`."""
        folder = self.path / name
        return CertificateFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")

    def create(
        self,
        hosts: Iterable[str] = (),
        lifetime: timedelta = LIFETIME,
        authority_lifetime: timedelta = AUTHORITY_LIFETIME,
    ) -> None:
        """Make an authority and every certificate, over what there may be. Raises CommandError for a bad host."""
        named = [_host(host) for host in hosts]
        authority = Authority.new(authority_lifetime)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its key is there while the rest is: what ends in between is made anew.
        (self.path / "ca.key").unlink(missing_ok=True)
        for name in (*SERVICES, PUBLIC):
            self._issue(authority, name, list(dict.fromkeys([*LOCAL, *named])), lifetime)
        _write(self.path / "ca.crt", authority.pair.certificate, 0o644)
        _write(self.path / "ca.key", authority.pair.key, 0o600)

    def renew(self, lifetime: timedelta = LIFETIME) -> None:
        """Sign every certificate anew, each with a new key and for the names that it has. Raises CommandError."""
        authority = self.authority()
        if authority.expires - datetime.now(UTC) < lifetime / 2:
            raise CommandError(
                f"the authority in {self.path} expires {authority.expires:%Y-%m-%d %H:%M} UTC, before what it would "
                "sign: make another with `autodev certs create --force`, and give every service its ca.crt"
            )
        hosts = [_host(host) for host in self._public_hosts()]
        for name in (*SERVICES, PUBLIC):
            self._issue(authority, name, hosts, lifetime)

    def keep_valid(self) -> None:
        """Make what is missing and renew what is past the middle of its time. Raises CommandError."""
        now = datetime.now(UTC)
        if not self.made or self.authority().expires - now < LIFETIME:
            self.create(self._public_hosts())
        elif not all(self._lasts(name, now + LIFETIME / 2) for name in (*SERVICES, PUBLIC)):
            self.renew()

    def _public_hosts(self) -> tuple[str, ...]:
        try:
            return self.held(PUBLIC).hosts
        except CommandError:
            return tuple(map(str, LOCAL))

    def _lasts(self, name: str, until: datetime) -> bool:
        try:
            return self.held(name).expires >= until
        except CommandError:
            return False

    def all(self) -> list[Held]:
        """The authority's certificate, then all others. Raises CommandError."""
        return [self.held(name) for name in (AUTHORITY, *SERVICES, PUBLIC)]

    def held(self, name: str) -> Held:
        """What is known of a certificate. Raises CommandError."""
        path = self.path / "ca.crt" if name == AUTHORITY else self.files(name).certificate
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}: make it with `autodev certs create`") from error
        except ValueError as error:
            raise CommandError(f"{path}: is no certificate") from error
        try:
            stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            hosts = tuple(str(each.value) for each in stated)
        except x509.ExtensionNotFound:
            hosts = ()
        return Held(name, hosts, certificate.not_valid_after_utc)

    def authority(self) -> Authority:
        """The authority itself. Raises CommandError."""
        key, certificate = self.path / "ca.key", self.path / "ca.crt"
        try:
            return Authority.read(Pair(certificate.read_bytes(), key.read_bytes()))
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}: make it with `autodev certs create`") from error
        except ValueError as error:
            raise CommandError(f"{self.path}: holds no authority that can be used: {error}") from error

    def _issue(
        self, authority: Authority, name: str, hosts: list[str | IPv4Address | IPv6Address], lifetime: timedelta
    ) -> None:
        # What clients reach is no service, and a service's certificate is good for nothing but being that service.
        subject = Subject(name, hosts) if name == PUBLIC else Subject(name, [name_of(name)], client=True)
        pair = authority.issue(subject, lifetime)
        files = self.files(name)
        files.key.parent.mkdir(mode=0o700, exist_ok=True)
        assert files.authority is not None
        _write(files.authority, authority.pair.certificate, 0o644)
        _write(files.key, pair.key, 0o600)
        _write(files.certificate, pair.certificate, 0o644)


def _host(name: str) -> str | IPv4Address | IPv6Address:
    """A name or address that the public certificate may be for. Raises CommandError."""
    try:
        return ip_address(name)
    except ValueError:
        pass
    labels = name.removeprefix("*.").split(".")
    if not all(label and len(label) < 64 and label.replace("-", "").isalnum() and label.isascii() for label in labels):
        raise CommandError(f"--host {name}: is no DNS name and no address")
    if name == DOMAIN or name.endswith(f".{DOMAIN}"):
        raise CommandError(f"--host {name}: names under {DOMAIN} are the services' own")
    return name


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place as a whole, readable by nobody else while it is written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

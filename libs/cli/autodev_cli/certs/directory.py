"""Where an authority and what it signed are kept.

    ca.crt  ca.key                                      the authority, and others that are trusted besides
    next.crt  next.key                                  the one that follows, trusted before it signs
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
from cryptography.hazmat.primitives.serialization import Encoding

from autodev_cli.certs.authority import Authority, Pair, Subject
from autodev_cli.certs.names import certificate_at, names_of
from autodev_cli.errors import CommandError, UsageError
from autodev_runtime.peers import CALLERS, DOMAIN, name_of
from autodev_runtime.settings import CertificateFiles

SERVICES = tuple(CALLERS)
PUBLIC = "public"
AUTHORITY = "ca"
LOCAL: tuple[str | IPv4Address | IPv6Address, ...] = ("localhost", ip_address("127.0.0.1"), ip_address("::1"))
LIFETIME = timedelta(days=7)
AUTHORITY_LIFETIME = timedelta(days=90)
FORETOLD = 3 * LIFETIME
"""So long before an authority's end the next one is trusted; that one signs when a certificate's lifetime is left."""


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
        """Make an authority and every certificate, over what there may be. Raises UsageError for a bad host."""
        named = [_host(host) for host in hosts]
        authority = Authority.new(authority_lifetime)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its key is there while the rest is: what ends in between is made anew.
        for name in ("ca.key", "next.key", "next.crt"):
            (self.path / name).unlink(missing_ok=True)
        for name in (*SERVICES, PUBLIC):
            self._issue(authority, name, list(dict.fromkeys([*LOCAL, *named])), lifetime)
            self._trust(name, authority.pair.certificate)
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
        trusted = self._trusted(authority, datetime.now(UTC))
        for name in (*SERVICES, PUBLIC):
            self._trust(name, trusted)
            self._issue(authority, name, hosts, lifetime)

    def keep_valid(self, now: datetime | None = None) -> None:
        """Make what is missing, renew what is past the middle of its time, and let one authority follow another.

        Raises CommandError.
        """
        now = now or datetime.now(UTC)
        following = self._following(now)
        if not self.made and following is None:
            self.create(self._public_hosts())
        elif not self.made or self.authority().expires - now < LIFETIME:
            self._succeed(following or Authority.new(AUTHORITY_LIFETIME, now), now)
        elif following is None and self.authority().expires - now < FORETOLD:
            self._foretell(Authority.new(AUTHORITY_LIFETIME, now), now)
        elif not all(self._lasts(name, now + LIFETIME / 2) for name in (*SERVICES, PUBLIC)):
            self.renew()

    def _foretell(self, following: Authority, now: datetime) -> None:
        """Have everybody trust the authority that will follow."""
        trusted = self._trusted(self.authority(), now) + following.pair.certificate
        for name in (*SERVICES, PUBLIC):
            self._trust(name, trusted)
        _write(self.path / "ca.crt", trusted, 0o644)
        _write(self.path / "next.crt", following.pair.certificate, 0o644)
        _write(self.path / "next.key", following.pair.key, 0o600)

    def _succeed(self, authority: Authority, now: datetime) -> None:
        """Sign every certificate by the authority that follows; the one before is trusted until its end."""
        hosts = [_host(host) for host in self._public_hosts()]
        trusted = self._trusted(authority, now)
        for name in (*SERVICES, PUBLIC):
            self._trust(name, trusted)
        for name in (*SERVICES, PUBLIC):
            self._issue(authority, name, hosts, LIFETIME)
        # What ends between the next two is done again, as long as the one that follows is there.
        (self.path / "ca.key").unlink(missing_ok=True)
        _write(self.path / "ca.crt", trusted, 0o644)
        _write(self.path / "ca.key", authority.pair.key, 0o600)
        (self.path / "next.key").unlink(missing_ok=True)
        (self.path / "next.crt").unlink(missing_ok=True)

    def _trusted(self, first: Authority, now: datetime) -> bytes:
        """An authority's certificate, and those of others that are trusted and have not ended."""
        own = x509.load_pem_x509_certificate(first.pair.certificate)
        known = x509.load_pem_x509_certificates((self.path / "ca.crt").read_bytes())
        others = [each for each in known if each != own and each.not_valid_after_utc > now]
        return b"".join(each.public_bytes(Encoding.PEM) for each in (own, *others))

    def _trust(self, name: str, certificates: bytes) -> None:
        trusted = self.files(name).authority
        assert trusted is not None
        trusted.parent.mkdir(mode=0o700, exist_ok=True)
        _write(trusted, certificates, 0o644)

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
            certificate = certificate_at(path)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}: make it with `autodev certs create`") from error
        return Held(name, names_of(certificate), certificate.not_valid_after_utc)

    def authority(self) -> Authority:
        """The authority itself. Raises CommandError."""
        return self._authority("ca")

    def _following(self, now: datetime) -> Authority | None:
        if not (self.path / "next.key").exists():
            return None
        following = self._authority("next")
        has_begun = self.made and following.pair.key == self.authority().pair.key
        return following if not has_begun and following.expires - now >= LIFETIME else None

    def _authority(self, name: str) -> Authority:
        key, certificate = self.path / f"{name}.key", self.path / f"{name}.crt"
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
        _write(files.key, pair.key, 0o600)
        _write(files.certificate, pair.certificate, 0o644)


def _host(name: str) -> str | IPv4Address | IPv6Address:
    """A name or address that the public certificate may be for. Raises UsageError."""
    try:
        return ip_address(name)
    except ValueError:
        pass
    labels = name.removeprefix("*.").split(".")
    if not all(label and len(label) < 64 and label.replace("-", "").isalnum() and label.isascii() for label in labels):
        raise UsageError(f"--host {name}: is no DNS name and no address")
    if name == DOMAIN or name.endswith(f".{DOMAIN}"):
        raise UsageError(f"--host {name}: names under {DOMAIN} are the services' own")
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

"""A certificate and its key, read again when their files change.

Whoever renews them replaces three files one after another, so what is read in between may be half of the old and half
of the new. Such a state is never used: the pair before stays until the files agree with one another.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from prometheus_client import Counter, Gauge

from autodev_runtime.settings import CertificateFiles
from autodev_runtime.starting import CannotStart

log = logging.getLogger(__name__)

EXPIRES = Gauge(
    "autodev_certificate_expires_timestamp_seconds",
    "When the certificate in use expires, in seconds since 1970; `mesh` or `public`",
    ["certificate"],
)
REFUSED = Gauge(
    "autodev_certificate_refused",
    "Whether the certificate's files cannot be used as they are: 1 while the one before stays in use",
    ["certificate"],
)
RENEWALS = Counter(
    "autodev_certificate_renewals_total",
    "Changes of a certificate's files: `renewed`, or `refused` where they do not agree",
    ["certificate", "outcome"],
)

PERIOD_S = 1.0
"""How often the files are looked at."""
LONGEST_CHAIN = 8


class CertificateError(CannotStart):
    """Files that cannot be used: unreadable, expired, or not of one another."""


@dataclass(frozen=True)
class Material:
    """What the files held when they agreed."""

    certificate: bytes
    key: bytes
    authority: bytes | None
    names: frozenset[str]
    """The DNS names that the certificate is for."""
    expires: datetime


class Certificates:
    """The certificate in use. Raises CertificateError when made, where the files cannot be used.

    Args:
        kind: what it is for, in logs and metrics: `mesh` or `public`.
        files: where it is.
        name: a DNS name that it must be for.
    """

    def __init__(self, kind: str, files: CertificateFiles, name: str | None = None) -> None:
        self._kind = kind
        self._files = files
        self._name = name
        self.material = self._use(_read(files))
        self._note("")

    def refresh(self) -> None:
        """Look at the files, and use what they hold where it is new and agrees."""
        try:
            contents = _read(self._files)
            if contents == _contents(self.material):
                self._note("")
                return
            self.material = self._use(contents)
        except CertificateError as error:
            # Said once of each flaw, not once a period.
            if str(error) != self._refused:
                log.warning("the %s certificate stays as it was: %s", self._kind, error)
                RENEWALS.labels(self._kind, "refused").inc()
            self._note(str(error))
            return
        self._note("")
        RENEWALS.labels(self._kind, "renewed").inc()
        log.info("the %s certificate is renewed; it expires %s", self._kind, self.material.expires.isoformat())

    async def watch(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(PERIOD_S)
            await asyncio.to_thread(self.refresh)

    def _note(self, flaw: str) -> None:
        """What is wrong with the files now; nothing, if empty."""
        self._refused = flaw
        REFUSED.labels(self._kind).set(bool(flaw))

    def _use(self, contents: tuple[bytes, bytes, bytes | None]) -> Material:
        material = agreed(*contents)
        if self._name is not None and self._name not in material.names:
            raise CertificateError(f"{self._files.certificate}: is not for the name {self._name}")
        EXPIRES.labels(self._kind).set(material.expires.timestamp())
        return material


def agreed(certificate: bytes, key: bytes, authority: bytes | None) -> Material:
    """The material, if its parts are of one another. Raises CertificateError."""
    chain = _certificates(certificate, "the certificate")
    leaf = chain[0]
    if _key_of(leaf) != _public(_key(key)):
        raise CertificateError("the key is not the certificate's")
    if leaf.not_valid_after_utc <= datetime.now(UTC):
        raise CertificateError(f"the certificate expired {leaf.not_valid_after_utc.isoformat()}")
    if authority is not None and not _issued(chain, _certificates(authority, "the authority")):
        raise CertificateError("the certificate is not signed by the authority")
    return Material(certificate, key, authority, _names(leaf), leaf.not_valid_after_utc)


def _issued(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> bool:
    """Whether the chain ends at an authority. This finds halves of a renewal; forgery is for TLS to find."""
    link = chain[0]
    for _ in range(LONGEST_CHAIN):
        if any(_signed(link, authority) for authority in authorities):
            return True
        issuer = next((each for each in chain if each is not link and _signed(link, each)), None)
        if issuer is None:
            return False
        link = issuer
    return False


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(f"{what} is no certificate in PEM") from error


def _key(pem: bytes) -> PublicKeyTypes:
    try:
        return load_pem_private_key(pem, password=None).public_key()
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("the key is no unencrypted private key in PEM") from error


def _key_of(certificate: x509.Certificate) -> bytes:
    try:
        return _public(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("the certificate holds no public key that can be read") from error


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(stated.get_values_for_type(x509.DNSName))


def _read(files: CertificateFiles) -> tuple[bytes, bytes, bytes | None]:
    try:
        authority = files.authority.read_bytes() if files.authority is not None else None
        return files.certificate.read_bytes(), files.key.read_bytes(), authority
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}") from error


def _contents(material: Material) -> tuple[bytes, bytes, bytes | None]:
    return material.certificate, material.key, material.authority

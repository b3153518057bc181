"""A certificate authority: makes itself, and signs certificates for names. All keys are ECDSA on P-256."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCKS_DIFFER_BY = timedelta(minutes=5)
"""A certificate is valid from so long ago, since other machines' clocks may be behind."""

_SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Subject:
    """What a certificate is for.

    Attributes:
        name: for people to tell certificates apart; no program looks at it.
        hosts: DNS names and addresses.
        client: whether it also proves who a client is.
    """

    name: str
    hosts: Sequence[str | IPv4Address | IPv6Address]
    client: bool = False


class Authority:
    """Signs certificates."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def new(cls, lifetime: timedelta, now: datetime | None = None) -> "Authority":
        """A new one, valid for so long."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Auto-Dev mesh authority")])
        builder = _builder(name, name, key, lifetime, now or datetime.now(UTC))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def read(cls, pair: Pair) -> "Authority":
        """The one that was written. Raises ValueError."""
        key = load_pem_private_key(pair.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not on an elliptic curve")
        return cls(x509.load_pem_x509_certificate(pair.certificate), key)

    @property
    def pair(self) -> Pair:
        """The authority's own certificate and key."""
        return _pair(self._certificate, self._key)

    @property
    def expires(self) -> datetime:
        """When nothing that it signed is valid any more."""
        return self._certificate.not_valid_after_utc

    def issue(self, subject: Subject, lifetime: timedelta, now: datetime | None = None) -> Pair:
        """A new key, and a certificate for it that outlives neither `lifetime` nor the authority."""
        started = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if subject.client else [])]
        public = self._key.public_key()
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_SIGNS, True),
            (x509.ExtendedKeyUsage(usages), False),
            (x509.SubjectAlternativeName([_general_name(host) for host in subject.hosts]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
        ]
        builder = _builder(name, self._certificate.subject, key, min(lifetime, self.expires - started), started)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER_BY)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general_name(host: str | IPv4Address | IPv6Address) -> x509.GeneralName:
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )

"""What a certificate is for."""

from pathlib import Path

from cryptography import x509

from autodev_cli.errors import CommandError


def certificate_at(path: Path) -> x509.Certificate:
    """The first certificate of a file. Raises CommandError where it holds none, and OSError."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise CommandError(f"{path}: is no certificate") from error


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses that the certificate is for."""
    try:
        stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(each.value) for each in stated)


def names_in(path: Path) -> tuple[str, ...]:
    """The names and addresses that a file's certificate is for. Raises CommandError, and OSError."""
    return names_of(certificate_at(path))

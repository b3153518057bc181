"""What the gateway of a mesh shows its clients, where the operator has it speak TLS."""

from pathlib import Path

from autodev_cli.errors import CommandError
from autodev_cli.mesh.layout import HOST
from autodev_cli.stated import stated_here

CERTIFICATE = "AUTODEV_GATEWAY_TLS_CERT_FILE"


def public_certificate() -> Path | None:
    """The file of the certificate that the gateway will show; None where it speaks plain text.

    Commands of this machine trust it itself, whoever signed it. Raises CommandError where it is not for the address by
    which they come.
    """
    stated = stated_here(CERTIFICATE)
    if not stated:
        return None
    # Here, since it takes a tenth of a second, and most meshes of one machine have none.
    from autodev_cli.certs.names import names_in

    path = Path(stated).resolve()
    if HOST not in (names := names_in(path)):
        raise CommandError(
            f"{CERTIFICATE}: {path} is for {', '.join(names) or 'no name'}, and commands on this machine come to "
            f"{HOST}: give a certificate that is for it too, as `autodev certs create` makes them"
        )
    return path

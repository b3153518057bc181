"""How a service proves to others which it is, and knows them: mutual TLS where it has a certificate, else loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from autodev_runtime.peers import Callers, name_of
from autodev_runtime.renewed_channel import RenewedChannel
from autodev_runtime.settings import CertificateFiles, ServiceSettings
from autodev_sdk.channel import DIRECT
from autodev_sdk.ending import ended

if TYPE_CHECKING:
    from autodev_runtime.certificates import Certificates, Material

Options = Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Door:
    """What a server needs that believes what services state: its certificate, and who may call."""

    credentials: grpc.ServerCredentials
    callers: Callers


class MeshTls:
    """A service's side of every connection within the mesh.

    Args:
        service: its name.
        certificates: what it proves itself by; None: it speaks plain text, on loopback only.
    """

    def __init__(self, service: str, certificates: "Certificates | None" = None) -> None:
        self._service = service
        self._certificates = certificates

    def channel(self, peer: str, address: str, options: Options) -> grpc.aio.Channel:
        """A channel to the service `peer`, which must prove that it is, wherever it is found. It asks no proxy."""
        certificates = self._certificates
        options = [*options, DIRECT]
        if certificates is None:
            return grpc.aio.insecure_channel(address, options=options)
        # The name is checked, not the address: replicas come and go, and an address says nothing of who has it.
        named = [*options, ("grpc.ssl_target_name_override", name_of(peer))]

        def connect(material: "Material") -> grpc.aio.Channel:
            return grpc.aio.secure_channel(address, client_credentials(material), options=named)

        return RenewedChannel(certificates, connect)  # type: ignore[return-value]

    def door(self) -> Door | None:
        """What the service's door needs; None where it is on loopback and believes its callers."""
        if self._certificates is None:
            return None
        return Door(server_credentials(self._certificates), Callers.of(self._service))


@contextlib.asynccontextmanager
async def mesh_tls(service: str, settings: ServiceSettings) -> AsyncIterator[MeshTls]:
    """The service's TLS, renewed within the block. Raises CertificateError."""
    if settings.mesh_files is None:
        yield MeshTls(service)
        return
    async with renewed("mesh", settings.mesh_files, name_of(service)) as certificates:
        yield MeshTls(service, certificates)


@contextlib.asynccontextmanager
async def renewed(kind: str, files: CertificateFiles, name: str | None = None) -> AsyncIterator["Certificates"]:
    """The certificate in these files, kept up to date within the block. Raises CertificateError."""
    # Here, since it takes a tenth of a second, and many a mesh has no certificate.
    from autodev_runtime.certificates import Certificates

    certificates = Certificates(kind, files, name)
    task = asyncio.ensure_future(certificates.watch())
    try:
        yield certificates
    finally:
        await ended(task)


def client_credentials(material: "Material") -> grpc.ChannelCredentials:
    """A client's, that proves itself to the server."""
    return grpc.ssl_channel_credentials(material.authority, material.key, material.certificate)


def server_credentials(certificates: "Certificates") -> grpc.ServerCredentials:
    """A server's, which each new connection gets anew. Clients must prove themselves where there is an authority."""
    given = certificates.material

    def changed() -> Any:
        # Called by gRPC on a thread of its own, before each handshake.
        nonlocal given
        if certificates.material is given:
            return None
        given = certificates.material
        return _configuration(given)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given), changed, require_client_authentication=given.authority is not None
    )


def _configuration(material: "Material") -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.certificate)], material.authority)

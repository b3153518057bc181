"""Certificates of a mesh for tests: made by what `autodev certs` makes them by."""

from pathlib import Path
from typing import Any

from autodev_cli.certs.directory import CertificateDirectory
from autodev_runtime.certificates import Certificates
from autodev_runtime.mesh_tls import MeshTls
from autodev_runtime.peers import name_of


def certificates_in(directory: Path, *hosts: str) -> CertificateDirectory:
    """An authority with a certificate for each service."""
    made = CertificateDirectory(directory)
    made.create(hosts)
    return made


def mesh_settings(certificates: CertificateDirectory, service: str) -> dict[str, Any]:
    """The settings of a service that has its certificate."""
    files = certificates.files(service)
    return {"mesh_ca_file": files.authority, "mesh_cert_file": files.certificate, "mesh_key_file": files.key}


def mesh_variables(certificates: CertificateDirectory, service: str) -> dict[str, str]:
    """The same as environment variables."""
    stated = mesh_settings(certificates, service)
    return {f"AUTODEV_{service.upper()}_{name.upper()}": str(path) for name, path in stated.items()}


def mesh_tls_of(certificates: CertificateDirectory, service: str) -> MeshTls:
    """A peer's side, with that service's certificate. It is not renewed."""
    return MeshTls(service, Certificates("mesh", certificates.files(service), name_of(service)))

"""Asks a service whether it serves: `python -m autodev_runtime.probe HOST:PORT [SERVICE]`; status 0 when it does.

With a mesh certificate it speaks mutual TLS, as the service that it asks, whose certificate it has: that which
AUTODEV_<SERVICE>_MESH_CERT_FILE and its like name, where SERVICE is given, or AUTODEV_MESH_CERT_FILE. The gateway is
asked at its internal address then.
"""

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from autodev_runtime.peers import DOMAIN

TIMEOUT_S = 3.0
# `autodev_sdk.channel.DIRECT`, whose import would take twice as long as the probe.
DIRECT = ("grpc.enable_http_proxy", 0)
FILES = ("CA_FILE", "KEY_FILE", "CERT_FILE")


def serves(address: str, service: str = "") -> bool:
    """Whether the service at the address says SERVING."""
    with _channel(address, service) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _channel(address: str, service: str) -> grpc.Channel:
    authority, key, certificate = (_file(service, name) for name in FILES)
    if not (authority and key and certificate):
        return grpc.insecure_channel(address, [DIRECT])
    pem = Path(certificate).read_bytes()
    credentials = grpc.ssl_channel_credentials(Path(authority).read_bytes(), Path(key).read_bytes(), pem)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", _name_in(pem)), DIRECT])


def _file(service: str, name: str) -> str:
    common = os.environ.get(f"AUTODEV_MESH_{name}", "")
    return os.environ.get(f"AUTODEV_{service.upper()}_MESH_{name}") or common if service else common


def _name_in(certificate: bytes) -> str:
    # Here, since it takes a tenth of a second, and a probe of a mesh without certificates needs none of it.
    from cryptography import x509

    stated = x509.load_pem_x509_certificates(certificate)[0].extensions
    names = stated.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    return next((name for name in names if name.endswith(f".{DOMAIN}")), "")


if __name__ == "__main__":
    sys.exit(0 if serves(*sys.argv[1:3]) else 1)

"""An engine that is reached over the network, by certificates."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from autodev_sandbox import rootfs
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.execution import BackendUnavailable, Execution, Status
from autodev_sandbox.running import run_on
from tests.conftest import require
from tests.integration.sandbox.engines import PrivateEngine
from tests.mesh import free_ports


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> None:
    """An authority, and what it has signed for a server on this machine and for a client, named as the SDK expects."""
    subject = ("-nodes", "-newkey", "rsa:2048", "-subj")
    openssl(folder, "req", "-x509", *subject, "/CN=tests", "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "1")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("", "extendedKeyUsage=clientAuth")):
        key, certificate = (f"{name}-{kind}.pem".lstrip("-") for kind in ("key", "cert"))
        (folder / "extension").write_text(extension)
        openssl(folder, "req", *subject, f"/CN={name or 'client'}", "-keyout", key, "-out", "request")
        signed_by = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-extfile", "extension")
        openssl(folder, "x509", "-req", "-in", "request", *signed_by, "-out", certificate, "-days", "1")


async def test_an_engine_behind_tls_is_used_with_a_certificate_and_not_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(shutil.which("openssl"), "openssl is not installed")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        # The SDK's HTTP library prefers these to the authority that it is given.
        monkeypatch.delenv(name, raising=False)
    await asyncio.to_thread(certificates, tmp_path)
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    names = (("tlscacert", "ca"), ("tlscert", "server-cert"), ("tlskey", "server-key"))
    files = [f"--{option}={tmp_path}/{name}.pem" for option, name in names]
    engine = PrivateEngine(options=["--host", address, "--tlsverify", *files])
    try:
        await engine.start()
        monkeypatch.setenv("DOCKER_HOST", address)
        backend = ContainerBackend(rootfs.default_cache(), floor=1, ceiling=2)
        with pytest.raises(BackendUnavailable, match="no container engine answers"):
            await backend.probe()
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        await backend.probe()
        outcome = await run_on(backend, Execution("def f(): return 'x' * 100_000", "f"))
        assert (outcome.status, outcome.value) == (Status.OK, "x" * 100_000)
        await backend.close()
    finally:
        await asyncio.to_thread(engine.remove)

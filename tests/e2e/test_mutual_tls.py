"""The whole mesh by mutual TLS, on every address of the machine: each service is asked, and the loop closes."""

import asyncio
from pathlib import Path

import pytest

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev.sandbox.v1 import sandbox_service_pb2 as sandbox
from autodev_cli.mesh import state
from autodev_runtime.probe import serves
from tests.certificates import certificates_in, mesh_variables
from tests.e2e.test_cli import end, started
from tests.loop import promoted_skill
from tests.mesh import SERVICES, Mesh

ANYWHERE = {f"AUTODEV_{service.upper()}_HOST": "0.0.0.0" for service in SERVICES[1:]}
SETTINGS = {**ANYWHERE, "AUTODEV_GATEWAY_INTERNAL_HOST": "0.0.0.0", "AUTODEV_SANDBOX_LEVELS": "namespace,container"}


async def test_the_whole_mesh_works_by_mutual_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = certificates_in(tmp_path / "certs")
    async with Mesh(tmp_path, settings=SETTINGS, certificates=certificates) as mesh, mesh.client() as client:
        await client.capability.ListAgents(capability.ListAgentsRequest())
        await client.fitness.ListVariants(fitness.ListVariantsRequest())
        await client.sandbox.GetSandboxStatus(sandbox.GetSandboxStatusRequest())
        await client.skills.ListSkills(skills.ListSkillsRequest())

        # Every certificate is renewed while the loop runs through all services.
        skill = asyncio.ensure_future(promoted_skill(client, "ada"))
        certificates.renew()
        assert (await skill).name
        for service in (*SERVICES[1:], "internal"):
            name = "gateway" if service == "internal" else service
            assert not await asyncio.to_thread(serves, mesh.address(service), name)
            with monkeypatch.context() as environment:
                for variable, value in mesh_variables(certificates, name).items():
                    environment.setenv(variable, value)
                assert await asyncio.to_thread(serves, mesh.address(service), name)


def test_autodev_up_runs_the_mesh_by_mutual_tls(tmp_path: Path) -> None:
    mesh = started(tmp_path / "data", "--mtls")
    try:
        mesh.wait_until_all_serve()
        learning = state.read(mesh.data_dir)
        assert learning is not None
        assert not serves(learning.addresses["learning"])
        assert (tmp_path / "data" / "certs" / "ca.key").stat().st_mode & 0o777 == 0o600
    finally:
        end(mesh)


def test_autodev_up_runs_a_gateway_that_speaks_tls_to_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificates_in(tmp_path / "certs").files("public")
    monkeypatch.setenv("AUTODEV_GATEWAY_TLS_CERT_FILE", str(files.certificate))
    monkeypatch.setenv("AUTODEV_GATEWAY_TLS_KEY_FILE", str(files.key))
    mesh = started(tmp_path / "data")
    try:
        mesh.wait_until_all_serve()
        assert mesh.json("skills", "list")["skills"] == []
        by_address = ("skills", "list", "--address", mesh.ready["ready"])
        assert mesh.run(*by_address, "--ca-file", str(files.authority)).returncode == 0
        assert "speaks TLS" in mesh.one_line_error(*by_address)
    finally:
        end(mesh)

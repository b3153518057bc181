"""Webhooks in a mesh of processes: gateways killed, and the page's own example."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from autodev.fitness.v1 import fitness_service_pb2 as pb
from tests.certificates import certificates_in
from tests.conftest import require
from tests.integration.fitness.parts import create
from tests.mesh import TENANT, Mesh, eventually, free_ports
from tests.storage import Storage
from tests.webhooks import SECRET, Sender, allow, body_of

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
HOOKS = 20


def settings_of(storage: Storage) -> tuple[int, dict[str, str]]:
    """A port for webhooks, and the settings that open it."""
    (port,) = free_ports(1)
    sources = allow(storage.directory / "sources.json", crm=(TENANT, [SECRET]))
    stated = {"AUTODEV_GATEWAY_WEBHOOK_PORT": str(port), "AUTODEV_GATEWAY_WEBHOOK_SECRETS_FILE": str(sources)}
    return port, {**storage.settings, **stated}


async def signals_of(client: Any, variant_id: str) -> pb.WorkflowVariant:
    """The variant, with its signals."""
    answer = await client.fitness.GetVariant(pb.GetVariantRequest(variant_id=variant_id), wait_for_ready=True)
    found: pb.WorkflowVariant = answer.variant
    return found


async def test_what_was_acknowledged_before_a_sigkill_is_passed_on_after_it(storage: Storage) -> None:
    port, settings = settings_of(storage)
    async with (
        Mesh(storage.directory, services=("gateway", "fitness"), settings=settings) as mesh,
        mesh.client() as client,
        aiohttp.ClientSession() as session,
    ):
        variant = await create(client.fitness)
        sender = Sender(session, f"http://127.0.0.1:{port}")
        body = body_of("conversion_value", variant.id, value=10)
        # With fitness down nothing can be passed on before the gateway dies.
        mesh.kill("fitness")
        acknowledged = [f"msg_{number}" for number in range(HOOKS // 2)]
        for webhook_id in acknowledged:
            assert (await sender.send(body, webhook_id)).status == 202
        mesh.kill("gateway")
        mesh.launch("fitness")
        await mesh.start("gateway")
        await mesh.serving("fitness")

        # Killed at any moment: while it takes in, passes on, or settles.
        async def send(number: int) -> None:
            async def taken() -> bool:
                try:
                    return (await sender.send(body, f"msg_{number}")).status == 202
                except aiohttp.ClientError:
                    return False

            await eventually(taken, "the webhook is taken")
            acknowledged.append(f"msg_{number}")

        sending = [asyncio.ensure_future(send(number)) for number in range(HOOKS // 2, HOOKS)]
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        mesh.kill("gateway")
        await mesh.start("gateway")
        await asyncio.gather(*sending)

        async def all_there() -> bool:
            found = await signals_of(client, variant.id)
            return {each.id for each in found.external_signals} == {f"crm:{each}" for each in acknowledged}

        await eventually(all_there, "every webhook that was acknowledged counts")
        found = await signals_of(client, variant.id)
        assert len(found.external_signals) == HOOKS
        assert found.fitness_score == pytest.approx(HOOKS * 0.01)


async def test_a_webhook_is_passed_on_by_mutual_tls(tmp_path: Path) -> None:
    port, settings = settings_of(Storage(tmp_path))
    certificates = certificates_in(tmp_path / "certs")
    async with (
        Mesh(tmp_path, services=("gateway", "fitness"), settings=settings, certificates=certificates) as mesh,
        mesh.client() as client,
        aiohttp.ClientSession() as session,
    ):
        variant = await create(client.fitness)
        body = body_of("conversion_value", variant.id, value=250)
        assert (await Sender(session, f"http://127.0.0.1:{port}").send(body, "msg_1")).status == 202

        async def counted() -> bool:
            return (await signals_of(client, variant.id)).fitness_score == pytest.approx(0.25)

        await eventually(counted, "the webhook counts")


async def test_the_pages_example_does_what_it_says(tmp_path: Path) -> None:
    for program in ("bash", "curl", "openssl"):
        require(shutil.which(program), f"{program} is not installed")
    example = re.search(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example is not None
    port, settings = settings_of(Storage(tmp_path))
    async with (
        Mesh(tmp_path, services=("gateway", "fitness"), settings=settings) as mesh,
        mesh.client() as client,
    ):
        variant = await create(client.fitness)
        stated = {
            "SECRET": SECRET,
            "VARIANT": variant.id,
            "ADDRESS": f"http://127.0.0.1:{port}",
            "PATH": "/usr/bin:/bin",
        }
        process = await asyncio.create_subprocess_exec(
            "bash", "-euc", example[1], env=stated, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, complained = await process.communicate()
        assert process.returncode == 0, complained
        assert b'"state": "pending"' in told, (told, complained)

        async def counted() -> bool:
            return (await signals_of(client, variant.id)).fitness_score == pytest.approx(0.25)

        await eventually(counted, "the example's webhook counts")

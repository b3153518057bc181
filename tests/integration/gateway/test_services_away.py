"""What commands say at a gateway whose services are away."""

import asyncio
import json
import sys
from typing import NamedTuple

from tests.integration.gateway.parts import ACME, Running, started
from tests.storage import Storage

RUN_S = 60.0
NOBODY = "127.0.0.1:1"
AWAY = {f"{service}_address": NOBODY for service in ("capability", "learning", "fitness", "sandbox")}


class Ended(NamedTuple):
    """A command that ended."""

    status: int | None
    out: str
    err: str


async def autodev(gateway: Running, *arguments: str, key: str = "") -> Ended:
    """Run a command at the gateway."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autodev_cli", *arguments),
        *("--address", gateway.public_address, "--api-key", key or gateway.key(ACME)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(RUN_S):
        out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def test_a_gateway_that_answers_why_is_not_told_to_be_down(storage: Storage) -> None:
    async with started(storage, **AWAY) as gateway:
        ended = await autodev(gateway, "skills", "list")
        assert ended == (
            1,
            "",
            "autodev: autodev.learning.v1.SkillService cannot be reached; call again [SERVICE_AWAY from "
            f"{gateway.public_address}]: repeat; see `autodev status`, and the service's own log\n",
        )


async def test_a_status_says_what_serves_and_what_cannot_be_known(storage: Storage) -> None:
    async with started(storage, **AWAY) as gateway:
        ended = await autodev(gateway, "status")
        assert (ended.status, ended.err) == (1, "")
        states = dict(line.split() for line in ended.out.splitlines()[2:7])
        assert [name for name, state in states.items() if state == "SERVING"] == ["gateway"]
        assert ended.out.splitlines()[-3:] == [
            "sandbox level unknown (sandbox is away)",
            "skills unknown (learning is away)",
            "reviews that wait unknown (learning is away) (`autodev review list`)",
        ]
        ended = await autodev(gateway, "status", "-o", "json")
        found = json.loads(ended.out)
        assert (ended.status, found["services"]["gateway"]) == (1, "SERVING")
        assert (found["sandbox"], found["skills"], found["reviews_waiting"]) == (None, None, None)
        assert found["unknown"]["skills"] == "learning is away"


async def test_a_status_for_nobody_is_one_line(storage: Storage) -> None:
    async with started(storage, **AWAY) as gateway:
        ended = await autodev(gateway, "status", key="wrong")
        assert (ended.status, ended.out, len(ended.err.splitlines())) == (1, "", 1)
        assert "UNAUTHENTICATED" in ended.err

"""What the mesh's sandbox gives on this machine, and what to do where it gives nothing."""

import asyncio
import time
from typing import Any

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_cli.output import enum_word
from autodev_sdk import AutoDevClient

SETTLE_S = 3.0
LOOK_S = 60.0
"""Where it has not tried every level by then: on a machine that is at work, a container is long in starting."""
NOT_TRIED = "not tried yet"
"""What the service says of such a level."""
ADVICE = (
    "Skills cannot be proved on this machine yet. Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) or a "
    "container engine (apt-get install docker.io, and start dockerd); the mesh finds it within seconds. Or start with "
    "--allow-process-sandbox: agents' code then runs with resource limits alone, can read your files and reach the "
    "network, so do that only with code you trust."
)


async def settled_status(mesh: AutoDevClient) -> pb.GetSandboxStatusResponse:
    """The sandbox's status once it has a level, or has had the time to look for one."""
    started = time.monotonic()
    while True:
        status = await mesh.sandbox.GetSandboxStatus(pb.GetSandboxStatusRequest())
        patience_s = LOOK_S if any(each.detail == NOT_TRIED for each in status.levels) else SETTLE_S
        if status.default_isolation or time.monotonic() - started > patience_s:
            return status
        await asyncio.sleep(0.1)


def level_word(level: "pb.IsolationLevel.ValueType") -> str:
    """A level as people write it: NAMESPACE; "none" where there is none."""
    return pb.IsolationLevel.Name(level).removeprefix("ISOLATION_LEVEL_") if level else "none"


def levels_of(status: pb.GetSandboxStatusResponse) -> dict[str, Any]:
    """The status as JSON has it."""
    return {
        "default": level_word(status.default_isolation),
        "levels": {
            enum_word(pb.IsolationLevel.Name(each.level), "ISOLATION_LEVEL_"): {
                "available": each.available,
                "detail": each.detail,
                "facilities": {
                    facility.name: {"available": facility.available, "detail": facility.detail}
                    for facility in each.facilities
                },
                "pool": {field.name: getattr(each.pool, field.name) for field in pb.PoolStatus.DESCRIPTOR.fields},
            }
            for each in status.levels
        },
        "running": status.running,
        "waiting": status.waiting,
    }


def level_lines_of(status: pb.GetSandboxStatusResponse) -> list[str]:
    """The level that executions get: its started sandboxes, and what its isolation lacks here."""
    level = next((each for each in status.levels if each.level == status.default_isolation), None)
    if level is None:
        return ["sandbox level none", *(f"  no {level_word(each.level)}: {each.detail}" for each in status.levels)]
    pool = level.pool
    started = f", {pool.ready} sandboxes ready ({pool.ceiling} at most)" if pool.ceiling else ""
    missing = [f"  no {each.name}: {each.detail}" for each in level.facilities if not each.available]
    return [
        f"sandbox level {level_word(level.level)}: {status.running} run, {status.waiting} wait{started}",
        *missing,
    ]


def lines_of(status: pb.GetSandboxStatusResponse) -> list[str]:
    """What a person is told when the mesh starts."""
    if status.default_isolation > pb.ISOLATION_LEVEL_PROCESS:
        detail = next((each.detail for each in status.levels if each.level == status.default_isolation), "")
        untried = [each.level for each in status.levels if each.detail == NOT_TRIED]
        stronger = [level_word(level) for level in untried if level > status.default_isolation]
        better = [f"            being tried still: {', '.join(stronger)}; see autodev status"] if stronger else []
        return [f"sandbox     {level_word(status.default_isolation)}  {detail}", *better]
    missing = [f"  {level_word(each.level):17} {each.detail}" for each in status.levels if not each.available]
    if status.default_isolation == pb.ISOLATION_LEVEL_PROCESS:
        return [
            "sandbox     PROCESS: agents' code can read your files and reach the network. Better levels are missing:",
            *missing,
        ]
    return ["sandbox     none: no isolation level works here:", *missing, ADVICE]

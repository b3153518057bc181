"""The network between services is cut for a while, which are in two network namespaces then: see cut_network.py."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import require
from tests.postgresql import binaries

CUT_S = float(os.environ.get("AUTODEV_CHAOS_CUT_S", "11"))
"""Longer than it takes to be noticed; `make chaos` takes 30."""
LIMIT_S = 240.0
ROOT = Path(__file__).parents[2]
OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def has_network_of_its_own() -> bool:
    """Whether this machine lets the test have network namespaces, join them, and drop packets in them."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip", "iptables"))):
        return False
    tried = "iptables -L -n && ip link add name here type veth peer name there"
    return subprocess.run([*OWN_NETWORK, "sh", "-c", tried], capture_output=True).returncode == 0


async def test_a_cut_network_is_noticed_and_over_once_it_is_mended() -> None:
    require(binaries(), "PostgreSQL is not installed")
    require(
        has_network_of_its_own(),
        "no network namespaces with veth and iptables can be had here (root, iproute2, iptables)",
    )
    process = await asyncio.create_subprocess_exec(
        *(*OWN_NETWORK, sys.executable, "-m", "tests.chaos.cut_network", str(CUT_S)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    print(told.decode(errors="replace")[-20_000:])
    assert process.returncode == 0

"""An execute adaptor for tests: one process a call, in bubblewrap where the machine has it."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping

from autodev_learning.trial import Execution

# The result leaves by a descriptor of its own, so that printing cannot disturb it.
RUNNER = """
import json, os, sys
result = os.fdopen(int(sys.argv[1]), "w")
request = json.load(sys.stdin)
namespace = {"__name__": "entry"}
exec(compile(request["code"], "<entry>", "exec"), namespace)
json.dump(namespace[request["entry_point"]](**request["inputs"]), result)
"""

BUBBLEWRAP = [
    "bwrap",
    "--unshare-all",
    "--die-with-parent",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--",
]


async def execute(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
    reading, writing = os.pipe()
    wrapper = BUBBLEWRAP if shutil.which("bwrap") else []
    process = await asyncio.create_subprocess_exec(
        *wrapper, os.path.realpath(sys.executable), "-I", "-S", "-c", RUNNER, str(writing),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        pass_fds=[writing],
    )  # fmt: skip
    os.close(writing)
    request = json.dumps({"code": code, "entry_point": entry_point, "inputs": dict(inputs)}).encode()
    with os.fdopen(reading, "rb") as channel:
        received = asyncio.create_task(asyncio.to_thread(channel.read))
        try:
            _, stderr = await asyncio.wait_for(process.communicate(request), timeout_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            await received
            return Execution(ok=False, detail="TIMEOUT")
        result = await received
    if process.returncode != 0 or not result:
        return Execution(ok=False, detail=f"exit {process.returncode}: {stderr.decode(errors='replace')[-300:]}")
    return Execution(ok=True, result=json.loads(result))

"""Runs code apart: follows what it prints, measures a function on many inputs, and takes a file back.

Run it beside a mesh: `autodev up` in one terminal, then `.venv/bin/python examples/sandbox_client.py`.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from statistics import median

import grpc
from google.protobuf.struct_pb2 import Struct

from autodev.sandbox.v1.sandbox_service_pb2 import (
    BATCH_SHARING_INTERPRETER,
    ExecuteBatchRequest,
    ExecuteRequest,
    ExecuteStreamRequest,
    ExecutionStatus,
    File,
)
from autodev_sdk import AutoDevClient

REPORT = """
import csv
total = 0
for row in csv.DictReader(open("orders.csv")):
    total += int(row["amount"])
    print("so far", total, flush=True)
open("total.txt", "w").write(str(total))
"""
FIBONACCI = "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"


async def follow(mesh: AutoDevClient) -> None:
    """Print what the code prints, when it prints it, and the file that it leaves."""
    execution = ExecuteRequest(
        code=REPORT,
        input_files=[File(path="orders.csv", content=b"id,amount\n1,40\n2,2\n")],
        output_files=["total.txt"],
    )
    async for event in mesh.sandbox.ExecuteStream(ExecuteStreamRequest(execution=execution)):
        match event.WhichOneof("event"):
            case "started":
                print(f"started, to be cancelled as {event.started.execution_id}")
            case "stdout":
                print(event.stdout.decode(), end="")
            case "finished":
                files = {file.path: file.content.decode() for file in event.finished.output_files}
                print(f"{ExecutionStatus.Name(event.finished.status)}, files {files}")


async def measure(mesh: AutoDevClient) -> None:
    """Time a function on many inputs, five times each after a warm-up."""
    request = ExecuteBatchRequest(
        code=FIBONACCI,
        entry_point="fib",
        inputs=[struct(n=n) for n in range(5, 20, 5)],
        sharing=BATCH_SHARING_INTERPRETER,
        warmup=1,
        repeat=5,
    )
    async for answer in mesh.sandbox.ExecuteBatch(request):
        for result in answer.results:
            value = result.outcome.result.number_value
            print(f"input {result.index}: {value:g} in {median(result.call_seconds) * 1e3:.2f} ms")


def struct(**fields: float) -> Struct:
    """Keyword arguments of a call."""
    made = Struct()
    made.update(fields)
    return made


async def main(address: str, key_file: Path) -> None:
    """Both, one after the other."""
    async with AutoDevClient(address, key_file.read_text().strip()) as mesh:
        await follow(mesh)
        await measure(mesh)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--key-file", type=Path, default=Path(".autodev/keys/default.key"))
    given = parser.parse_args()
    try:
        asyncio.run(main(given.address, given.key_file))
    except grpc.aio.AioRpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")

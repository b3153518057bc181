"""Builds the Python stubs of every proto into `libs/contracts/autodev`, afresh.

Run by `make contracts`. The stubs are not committed: they follow from `protos/` alone.
"""

import shutil
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent
PROTOS = HERE.parents[1] / "protos"
TARGET = HERE / "autodev"
SCRIPTS = Path(sys.executable).parent


def main() -> int:
    shutil.rmtree(TARGET, ignore_errors=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    status: int = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            *(f"--plugin=protoc-gen-{plugin}={SCRIPTS / f'protoc-gen-{plugin}'}" for plugin in ("mypy", "mypy_grpc")),
            *(f"--{plugin}_out={HERE}" for plugin in ("python", "grpc_python")),
            *(f"--{plugin}_out=quiet:{HERE}" for plugin in ("mypy", "mypy_grpc")),
            *sources,
        ]
    )
    if status == 0:
        (TARGET / "py.typed").touch()
    return status


if __name__ == "__main__":
    sys.exit(main())

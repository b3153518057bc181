"""OpenEvolve, as a denominator: from the package index, in a virtual environment that is thrown away."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REQUIREMENT: Final = "openevolve==0.4.1"
HERE: Final = Path(__file__).parent
ITERATIONS: Final = 60
LONG: Final = 300
INSTALL_S, SEARCH_S = 300.0, 120.0


class NotHere(Exception):
    """It cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Rates:
    """Programs a second.

    `command` is that of 60 iterations as a command, its start and end included; `search` of the same without them;
    `lasting` that of 300 iterations, from the first program that was evaluated to the last.
    """

    command: float
    search: float
    lasting: float


@dataclass(frozen=True)
class Search:
    """One search: how long the command took, the search in it, and what was between first and last program."""

    programs: int
    command_s: float
    search_s: float
    lasting_s: float


async def rates(repeats: int) -> Rates:
    """The best of so many searches with one process and as many with one a core. Raises NotHere."""
    return await asyncio.to_thread(_rates, repeats)


def _rates(repeats: int) -> Rates:
    processes = sorted({1, os.cpu_count() or 1})
    with tempfile.TemporaryDirectory(prefix="autodev-bench-") as folder, _endpoint() as port:
        python = _installed(Path(folder))
        short = [_search(python, port, ITERATIONS, each) for each in processes for _ in range(repeats)]
        long = [_search(python, port, LONG, each) for each in processes]
    return Rates(
        command=max(each.programs / each.command_s for each in short),
        search=max(each.programs / each.search_s for each in short),
        lasting=max((each.programs - 1) / each.lasting_s for each in long),
    )


def _installed(folder: Path) -> Path:
    """The interpreter of an environment with OpenEvolve."""
    python = folder / "venv/bin/python"
    try:
        _run([sys.executable, "-m", "venv", str(folder / "venv")], INSTALL_S)
        _run([str(python), "-m", "pip", "install", "--quiet", REQUIREMENT], INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotHere(f"{REQUIREMENT} cannot be installed: {error}") from error
    return python


@contextlib.contextmanager
def _endpoint() -> Iterator[int]:
    """The port of a model that answers at once."""
    with subprocess.Popen([sys.executable, str(HERE / "endpoint.py")], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _search(python: Path, port: int, iterations: int, processes: int) -> Search:
    with tempfile.TemporaryDirectory(prefix="autodev-bench-") as folder:
        command = [str(python), str(HERE / "search.py"), folder, *map(str, (port, iterations, processes))]
        started = time.monotonic()
        try:
            said = _run(command, SEARCH_S)
        except subprocess.SubprocessError as error:
            raise NotHere(f"OpenEvolve ends wrong: {error}") from error
        seconds = time.monotonic() - started
    found = json.loads(said.splitlines()[-1])
    if found["programs"] != iterations:
        raise NotHere(f"OpenEvolve evaluated {found['programs']} programs in {iterations} iterations")
    return Search(iterations, seconds, found["search_s"], found["lasting_s"])


def _run(command: Sequence[str], seconds: float) -> str:
    return subprocess.run(command, check=True, timeout=seconds, stdout=subprocess.PIPE, text=True).stdout

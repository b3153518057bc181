"""One search by OpenEvolve, in its own virtual environment: nothing of ours is there.

    python search.py FOLDER PORT ITERATIONS PROCESSES

Prints one line of JSON: how many programs were evaluated besides the first, the seconds of the search, and those from
the first evaluation to the last, in which no process was being started.
"""

import asyncio
import json
import logging
import sys
import time
from pathlib import Path

from openevolve import OpenEvolve  # type: ignore[import-not-found]  # It is in no environment of ours.
from openevolve.config import Config, LLMModelConfig  # type: ignore[import-not-found]

PROGRAM = "def f():\n    return 0\n"
EVALUATOR = """import os, time

NOTES = os.open(os.path.join(os.path.dirname(__file__), "evaluated"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def evaluate(path):
    names = {}
    with open(path) as file:
        exec(file.read(), names)
    score = -float(names["f"]())
    os.write(NOTES, f"{time.monotonic()}\\n".encode())
    return {"combined_score": score}
"""


def config_for(port: int, iterations: int, processes: int) -> Config:
    """Whole programs are asked for, and stages, artifacts and logs left out: as little work as it can be told to do."""
    config = Config(max_iterations=iterations, diff_based_evolution=False, log_level="ERROR", checkpoint_interval=10**6)
    config.llm.api_base = f"http://127.0.0.1:{port}/v1"
    config.llm.api_key = "none"
    config.llm.models = [
        LLMModelConfig(
            name="instant",
            api_base=config.llm.api_base,
            api_key="none",
            max_tokens=100,
            timeout=60,
            retries=0,
            retry_delay=0,
        )
    ]
    config.llm.evaluator_models = config.llm.models
    config.evaluator.cascade_evaluation = False
    config.evaluator.enable_artifacts = False
    config.evaluator.parallel_evaluations = processes
    config.database.log_prompts = False
    return config


async def main() -> None:
    folder, (port, iterations, processes) = Path(sys.argv[1]), map(int, sys.argv[2:])
    (folder / "program.py").write_text(PROGRAM)
    (folder / "evaluator.py").write_text(EVALUATOR)
    logging.disable(logging.CRITICAL)
    engine = OpenEvolve(
        str(folder / "program.py"),
        str(folder / "evaluator.py"),
        config=config_for(port, iterations, processes),
        output_dir=str(folder / "output"),
    )
    started = time.perf_counter()
    await engine.run(iterations)
    seconds = time.perf_counter() - started
    times = sorted(map(float, (folder / "evaluated").read_text().split()))[1:]
    print(json.dumps({"programs": len(times), "search_s": seconds, "lasting_s": times[-1] - times[0]}))


if __name__ == "__main__":
    asyncio.run(main())

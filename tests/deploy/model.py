"""A language model in a container of its own, in the network `outside` alone: it solves one task of the sample.

with Model(stack) as model:
    model.addresses   # where it serves, by its name and by its address
    model.asked()     # the authorization of each question that it was asked about the task
"""

import time
from pathlib import Path
from typing import Any, Self

from tests.deploy.stack import PROJECT, Stack

TASK = "add_months"
KEY = "a-key-of-the-test"
NAME, PORT = f"{PROJECT}-model", 18080
URL = f"http://{NAME}:{PORT}"
START_S = 60.0
PROGRAM = f"""
import sys, time
sys.path.insert(0, "/model")
from llm import LlmServer, code, say

RIGHT = '''
from calendar import monthrange
from datetime import date


def add_months(day, months):
    start = date.fromisoformat(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1])).isoformat()
'''

def answer(asked):
    if "{TASK}" not in asked.text:
        return say("I do not know.")
    print(asked.headers["authorization"], flush=True)
    return code(RIGHT)

with LlmServer(listens=("0.0.0.0", {PORT})) as server:
    server.will_answer(answer)
    time.sleep(3600)
"""


class Model:
    """Runs in the image of learning, which has what the server of the other tests needs. A context manager."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._container: Any = None

    def __enter__(self) -> Self:
        server = Path(__file__).parents[1] / "llm.py"
        self._container = self._stack.client.containers.run(
            self._stack.image("learning"),
            ["python3", "-c", PROGRAM],
            name=NAME,
            network=f"{PROJECT}_outside",
            volumes={str(server): {"bind": "/model/llm.py", "mode": "ro"}},
            detach=True,
            # The image's own asks for the service.
            healthcheck={"test": ["NONE"]},
        )
        deadline = time.monotonic() + START_S
        while not self.serves():
            assert time.monotonic() < deadline, self._container.logs().decode()
            time.sleep(0.2)
        return self

    def __exit__(self, *exception: object) -> None:
        self._container.remove(force=True)

    @property
    def addresses(self) -> tuple[str, str]:
        """Where it serves, by its name and by its address in the one network that it is in."""
        self._container.reload()
        (network,) = self._container.attrs["NetworkSettings"]["Networks"].values()
        return URL, f"http://{network['IPAddress']}:{PORT}"

    def serves(self) -> bool:
        """Whether it answers itself, at each of its addresses."""
        return self._stack.reached_by(self._container, self.addresses) == list(self.addresses)

    def asked(self) -> list[str]:
        """With what key it was asked about the task, each time."""
        return str(self._container.logs().decode()).splitlines()

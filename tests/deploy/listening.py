"""A server on an engine's machine, at each of the addresses that the machine has in the engine's networks.

with Listening(engine) as machine:
    machine.urls
"""

import json
import subprocess
import sys
from typing import Self

from tests.integration.sandbox.engines import PrivateEngine

PORT = 18081
SERVES = f"""
from http.server import HTTPServer, SimpleHTTPRequestHandler

server = HTTPServer(("0.0.0.0", {PORT}), SimpleHTTPRequestHandler)
print("listens", flush=True)
server.serve_forever()
"""


class Listening:
    """In the engine's own network, which is a machine's as containers see it. A context manager."""

    def __init__(self, engine: PrivateEngine) -> None:
        assert engine.daemon
        self._within = ("nsenter", "--target", str(engine.daemon.pid), "--net")

    def __enter__(self) -> Self:
        command = [*self._within, sys.executable, "-c", SERVES]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._server.stdout
        assert self._server.stdout.readline() == b"listens\n"
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._server.stdout
        self._server.kill()
        self._server.wait()
        self._server.stdout.close()

    @property
    def urls(self) -> list[str]:
        """Where it serves, but for loopback."""
        listed = subprocess.run([*self._within, "ip", "-json", "-4", "address"], capture_output=True, check=True)
        addresses = [each["local"] for link in json.loads(listed.stdout) for each in link["addr_info"]]
        return [f"http://{address}:{PORT}" for address in addresses if not address.startswith("127.")]

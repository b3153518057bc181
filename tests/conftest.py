"""What every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.nats import NatsServer, binary
from tests.postgresql import Server, binaries
from tests.storage import ENGINES, JETSTREAM, POSTGRESQL, Storage, Storages

# No test is timed: by default hypothesis fails one whose example takes 200 ms, as some do on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REQUIRE_ALL = os.environ.get("AUTODEV_REQUIRE_ALL") == "1"


def require(condition: object, reason: str) -> None:
    """Go on only where the environment has a part; else skip, with the reason.

    With AUTODEV_REQUIRE_ALL=1, which CI sets, a missing part is a failure: nothing is skipped there.
    """
    if condition:
        return
    if REQUIRE_ALL:
        pytest.fail(f"AUTODEV_REQUIRE_ALL=1, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of the tests' own."""
    programs = binaries()
    require(programs, "PostgreSQL is not installed")
    assert programs is not None
    server = Server(programs)
    try:
        server.make()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """A NATS server of the tests' own."""
    program = binary()
    require(program, "nats-server is not installed")
    assert program is not None
    server = NatsServer(program)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session", params=ENGINES)
def storages(request: pytest.FixtureRequest) -> Storages:
    """Makes storage, on each engine in turn."""
    return Storages(
        request.getfixturevalue("postgresql") if POSTGRESQL in request.param else None,
        request.getfixturevalue("nats_server") if JETSTREAM in request.param else None,
    )


@pytest.fixture
def storage(storages: Storages, tmp_path: Path) -> Iterator[Storage]:
    """Fresh databases for every service, on each engine in turn."""
    with storages.new(tmp_path) as made:
        yield made

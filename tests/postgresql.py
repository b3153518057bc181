"""A PostgreSQL server of the tests' own: started once, migrated once, and emptied after every test."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from autodev_runtime.migrations import migrate
from autodev_runtime.postgresql import ALL_TENANTS_SUFFIX, DatabaseOptions
from autodev_runtime.row_security import roles_of

SERVICES = ("gateway", "capability", "learning", "fitness")
SUPERUSER, OWNER = "postgres", "autodev_owner"
TEMPLATE = "autodev_template"
START_S = 60.0
LOCK_S = 60
# Durability costs half the time of these tests, and none of them cuts the power.
SERVER_OPTIONS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=300")
# The services' roles must show the passwords that the migration gave them.
ACCESS = f"local all {SUPERUSER},{OWNER} trust\nlocal all all scram-sha-256\n"

# Rows of the services go, and so do schemas that a test has made.
EMPTY = f"""
DO $$
DECLARE place record; filled boolean;
BEGIN
  FOR place IN SELECT schemaname, tablename FROM pg_tables
               WHERE schemaname IN {SERVICES} AND tablename <> 'alembic_version' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', place.schemaname, place.tablename) INTO filled;
    IF filled THEN
      EXECUTE format('TRUNCATE %I.%I RESTART IDENTITY CASCADE', place.schemaname, place.tablename);
    END IF;
  END LOOP;
  FOR place IN SELECT nspname FROM pg_namespace
               WHERE nspname NOT IN ('public', 'information_schema') AND nspname NOT LIKE 'pg\\_%'
               AND nspname NOT IN {SERVICES} LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', place.nspname);
  END LOOP;
END $$
"""

Result = TypeVar("Result")


def binaries() -> Path | None:
    """Where the server's programs are; None where PostgreSQL is not installed."""
    if (found := shutil.which("postgres")) is not None:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return places[-1].parent if places else None


def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of asynchronous work, from code that is not."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Server:
    """A server with its files in a directory of its own, listening on a socket there."""

    def __init__(self, programs: Path, options: Sequence[str] = SERVER_OPTIONS) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="autodev-postgresql-"))
        self._programs = programs
        self._options = options
        # The server refuses to run as root.
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._free: list[str] = []
        self._altered: set[str] = set()
        if self._user is not None:
            shutil.chown(self.directory, self._user)

    def make(self) -> None:
        """Make the server's files, start it, and make the database that tests get copies of."""
        self.make_bare()
        self.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE", f"CREATE DATABASE {TEMPLATE} OWNER {OWNER}")
        for service in SERVICES:
            url = self.url(TEMPLATE, f"autodev_{service}")
            roles = roles_of(url, DatabaseOptions(schema=service))
            finished(migrate(self.url(TEMPLATE, OWNER), f"autodev_{service}", service, roles))

    def make_bare(self, access: str = ACCESS) -> None:
        """Make the server's files, and start it."""
        arguments = [
            "-D",
            str(self._data),
            "-U",
            SUPERUSER,
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
            "-A",
            "trust",
        ]
        subprocess.run(
            [*self._as_user, self._programs / "initdb", *arguments],
            check=True,
            capture_output=True,
            cwd=self.directory,
        )
        (self._data / "pg_hba.conf").write_text(access)
        self.start()

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _as_user(self) -> list[str]:
        # Popen's own "user" makes it fork, and a fork of a process that has gRPC's threads can crash before its exec.
        return [] if self._user is None else ["setpriv", f"--reuid={self._user}", "--clear-groups"]

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        options = [part for option in self._options for part in ("-c", option)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, self._programs / "postgres", "-D", self._data, "-k", self.directory, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
            )
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError, asyncpg.CannotConnectNowError):
                self.execute("SELECT 1")
                return
            status = self._process.poll()
            assert status is None, f"the server ended with {status}: {(self.directory / 'log').read_text()}"
            assert time.monotonic() < deadline, "the server takes no connections"
            time.sleep(0.02)

    def own(self, content: bytes, name: str) -> Path:
        """Give the server a file that only it may read."""
        path = self.directory / name
        path.touch(0o600)
        path.write_bytes(content)
        if self._user is not None:
            shutil.chown(path, self._user)
        return path

    def stop(self) -> None:
        """End every connection and the server."""
        if self._process is not None:
            # "Fast": without waiting for clients to leave.
            self._process.send_signal(2)
            self._process.wait(START_S)
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block the server does nothing, and its connections stay."""
        assert self._process is not None
        # First the one that makes the others; they are its children, each in a process group of its own.
        processes = [self._process.pid]
        os.kill(self._process.pid, signal.SIGSTOP)
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        for child in map(int, children.split()):
            os.kill(child, signal.SIGSTOP)
            processes.append(child)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str, user: str) -> str:
        """The URL of a database, for a user."""
        return f"postgresql+asyncpg://{user}:{password_of(user)}@/{database}?host={self.directory}"

    async def connect(self, database: str, user: str) -> "asyncpg.Connection[Any]":
        """A connection that nothing of ours has touched."""
        return await asyncpg.connect(
            host=str(self.directory), database=database, user=user, password=password_of(user), timeout=5
        )

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Execute statements as the superuser, each in its own transaction."""

        async def run() -> None:
            connection = await self.connect(database, SUPERUSER)
            # What a test has left behind is to be an error, and not a test that waits for it.
            await connection.execute(f"SET lock_timeout = '{LOCK_S}s'")
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        finished(run())

    def end_claims(self, database: str) -> None:
        """End the sessions by which services hold claims, as a network that drops them would."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock($1)%'"
            " AND pid <> pg_backend_pid()",
            database=database,
        )

    @contextlib.contextmanager
    def database(self) -> Iterator["TestDatabase"]:
        """A database without rows, migrated for every service."""
        # Emptying one takes a tenth of the time of making another.
        name = self._free.pop() if self._free else self._copy()
        try:
            yield TestDatabase(self, name)
        finally:
            self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            if name in self._altered:
                self.execute(f"DROP DATABASE {name}")
            else:
                self.execute(EMPTY, database=name)
                self._free.append(name)

    @contextlib.contextmanager
    def bare(self, *roles: str) -> Iterator["TestDatabase"]:
        """A database in which nothing was migrated. Afterwards the roles that were made for it are gone too."""
        self._made += 1
        name = f"bare_{self._made}"
        self.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        try:
            yield TestDatabase(self, name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)", *(f"DROP ROLE IF EXISTS {role}" for role in roles))

    def forget(self, name: str) -> None:
        """Do not use a database for another test."""
        self._altered.add(name)

    def _copy(self) -> str:
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OWNER}")
        return name


@dataclass(frozen=True)
class TestDatabase:
    """One database of the server."""

    __test__ = False

    server: Server
    name: str

    def url(self, user: str) -> str:
        """Its URL for a user."""
        return self.server.url(self.name, user)

    async def connect(self, user: str) -> "asyncpg.Connection[Any]":
        """A connection of a user that nothing of ours has touched."""
        return await self.server.connect(self.name, user)

    def altered(self) -> None:
        """Tables are no longer as the migrations made them: no other test may have the database."""
        self.server.forget(self.name)


def password_of(user: str) -> str:
    """What a user of the tests' server says to get in: a service's two roles, the same."""
    return f"password-of-{user.removesuffix(ALL_TENANTS_SUFFIX)}"


def _unprivileged_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return SUPERUSER if SUPERUSER in names else "nobody"

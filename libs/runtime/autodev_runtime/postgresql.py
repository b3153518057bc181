"""PostgreSQL: connections with bounds, and what its errors mean to a caller.

A service has two roles, so two pools. The first serves one tenant at a time: row-level security shows it no row until
the transaction names its tenant. The second serves relays and sweeps, which work across tenants. They are different
logins and neither is a member of the other, so no statement on a tenant's connection can become the second role.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, event, exc, make_url
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from autodev_runtime.database_faults import AWAY, BUSY, DISK_FULL, FULL
from autodev_runtime.database_urls import LIBPQ_ONLY, libpq_url
from autodev_runtime.errors import Unavailable
from autodev_runtime.pools import Pool
from autodev_runtime.repeating import Conflict

log = logging.getLogger(__name__)

TENANT_SETTING = "autodev.tenant"
ALL_TENANTS_SUFFIX = "_all"
"""What the second role's name ends in, unless a URL of its own says otherwise."""

LISTEN_AGAIN_S = 1.0
ROLLBACK_S = 2.0
"""Nothing has to be undone for it: what takes longer is the statement before it, which was broken off."""
GONE_AFTER = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
"""Seconds, tries and milliseconds of silence after which the server is taken for gone."""

# Connection exceptions, resources, the operator's intervention, the system, a transaction ended for idling; a table
# or column that is not there, or not yet.
_FULL_STATE = "53100"
_AWAY_STATES = ("08", "53", "57P", "58", "XX", "25P03", "42P01", "42703")
# A statement or a lock took too long.
_BUSY_STATES = ("57014", "55P03")
# Serialization failure, deadlock: the same work may well succeed.
_CONFLICT_STATES = ("40001", "40P01")


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """How PostgreSQL is used; SQLite needs none of it."""

    schema: str = "public"
    all_tenants_url: str = ""
    """The second role's URL; empty: the first's, whose user's name gets `_all`."""
    pool_size: int = 8
    """Connections of each of the two roles."""
    pool_wait: timedelta = timedelta(seconds=30)
    connect_timeout: timedelta = timedelta(seconds=5)
    statement_timeout: timedelta = timedelta(seconds=30)
    lock_timeout: timedelta = timedelta(seconds=10)
    idle_in_transaction_timeout: timedelta = timedelta(seconds=60)
    answer_margin: timedelta = timedelta(seconds=5)
    """How long after the server's own bound an answer to a statement, or to a batch of one, is still waited for."""


def all_tenants_url(url: str, options: DatabaseOptions) -> str:
    """Where the second role connects."""
    if options.all_tenants_url:
        return options.all_tenants_url
    parsed = make_url(url)
    return parsed.set(username=f"{parsed.username}{ALL_TENANTS_SUFFIX}").render_as_string(hide_password=False)


def make_engine(url: str, options: DatabaseOptions) -> AsyncEngine:
    """A pool of connections. It connects when it is used, and again after the server was away."""

    async def connect(*_: Any, **__: Any) -> Any:
        # Imported when asked for: a mesh on SQLite should not load the driver in every process.
        import asyncpg

        try:
            return _attentive(await asyncpg.connect(**arguments))
        except driver_errors() as error:
            log.warning("no connection to the database: %s", error)
            raise Unavailable(AWAY, reason="DATABASE_UNAVAILABLE") from error

    engine = create_async_engine(
        url,
        async_creator=connect,
        poolclass=Pool,
        pool_size=options.pool_size,
        max_overflow=0,
        pool_timeout=options.pool_wait.total_seconds(),
        # Parameters are tenants' data, and an error's text ends in the log.
        hide_parameters=True,
    )
    arguments = {**driver_arguments(url), **_bounds(options)}
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "begin", _name_tenant)
    event.listen(engine.sync_engine, "handle_error", _leave_silent)
    return engine


async def connect(url: str, options: DatabaseOptions) -> Any:
    """A connection outside of the pools, of asyncpg's own kind. Raises `driver_errors`."""
    import asyncpg

    return _attentive(await asyncpg.connect(**driver_arguments(url), **_bounds(options)))


async def answers(url: URL, options: DatabaseOptions) -> None:
    """Have the server answer, on a connection outside of the pools. Raises `driver_errors`."""
    import asyncpg

    try:
        connection = await connect(url.render_as_string(hide_password=False), options)
    except asyncpg.TooManyConnectionsError:
        # An answer, too: it has no place for one more, which nobody needs.
        return
    try:
        await connection.execute("SELECT 1")
    finally:
        await connection.close(timeout=1)


def _attentive(connection: Any) -> Any:
    """The connection, which notices that the server, or the way there, is gone.

    Sooner than the server does of us, which then frees what we had claimed: two gateways would serve one group.
    """
    # asyncpg has no setting for it, and what it has of the socket is not public.
    socket_of = connection._transport.get_extra_info("socket")
    if socket_of.family in (socket.AF_INET, socket.AF_INET6):
        socket_of.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in GONE_AFTER.items():
            # Not every system has each of them.
            if (option := getattr(socket, name, None)) is not None:
                socket_of.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def driver_errors() -> tuple[type[Exception], ...]:
    """What the driver raises where the server is away or refuses.

    It calls it its own fault (InternalClientError) when a server that goes away says so amid a statement.
    """
    import asyncpg

    return OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError


async def listen(url: str, options: DatabaseOptions, channel: str, heard: Callable[[], None], own: str = "") -> None:
    """Call `heard` at every NOTIFY on the channel, for ever, on a connection of its own that is made anew when lost.

    Notices are hints: one that comes while the connection is made is lost, so `heard` is called after that too. A
    notice that says `own` is the caller's, and no news.
    """

    def notice(connection: Any, process: int, channel: str, said: str) -> None:
        if not own or said != own:
            heard()

    while True:
        lost = asyncio.Event()
        try:
            connection = await connect(url, options)
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(channel, notice)
                heard()
                await lost.wait()
            finally:
                await connection.close(timeout=1)
        except driver_errors() as error:
            log.warning("no notices from the database: %s", error)
        await asyncio.sleep(LISTEN_AGAIN_S)


def driver_arguments(url: str) -> dict[str, Any]:
    """What `asyncpg.connect` is told of a URL."""
    parsed = make_url(url)
    libpq = {name: value for name, value in parsed.query.items() if name in LIBPQ_ONLY}
    plain = parsed.difference_update_query(libpq)
    _, arguments = plain.get_dialect()().create_connect_args(plain)
    return {**arguments, "dsn": libpq_url(libpq)} if libpq else dict(arguments)


def _bounds(options: DatabaseOptions) -> dict[str, Any]:
    return {
        "timeout": options.connect_timeout.total_seconds(),
        # The server keeps to its own bound, unless it is stopped or the way to it drops what it says.
        "command_timeout": (options.statement_timeout + options.answer_margin).total_seconds(),
        "server_settings": {
            "application_name": f"autodev-{options.schema}",
            "search_path": options.schema,
            "statement_timeout": _milliseconds(options.statement_timeout),
            "lock_timeout": _milliseconds(options.lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(options.idle_in_transaction_timeout),
            # A client's machine that is gone holds its locks no longer than a minute.
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
            # A commit is on disk when it returns, whatever the server, the database or the role have by default.
            "synchronous_commit": "on",
            # Statements are short; compiling one costs more than running it.
            "jit": "off",
        },
    }


def _milliseconds(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))


def _refuse_closed(connection: Any, *_: object) -> None:
    # The driver hears that the server has closed a connection, so none needs a ping before each use.
    if connection.driver_connection.is_closed():
        raise exc.InvalidatePoolError("the server closed the connection")


def _leave_silent(context: ExceptionContext) -> Unavailable | None:
    """A server that does not answer in time may yet, amid what is asked next: its connection is used no more."""
    if not isinstance(context.original_exception, TimeoutError):
        return None
    log.error("the database does not answer")
    context.is_disconnect = True
    if context.connection is not None and not context.connection.invalidated:
        driver: Any = context.connection.connection.driver_connection
        driver.terminate()
    return Unavailable(AWAY, reason="DATABASE_UNAVAILABLE")


@contextlib.contextmanager
def closed_if_silent(driver: Any) -> Iterator[None]:
    """Close the driver's connection if, in the block, the server does not answer in time: it may yet, and too late."""
    try:
        yield
    except TimeoutError:
        driver.terminate()
        raise


@contextlib.asynccontextmanager
async def left_clean(driver: Any) -> AsyncIterator[None]:
    """Have the driver's connection in no transaction after the block, or closed, whatever ends the block."""
    try:
        with closed_if_silent(driver):
            yield
    except BaseException:
        # Also where none is known of: a BEGIN that was broken off may have been heard.
        await _roll_back(driver)
        raise
    if driver.is_in_transaction():
        await _roll_back(driver)


async def _roll_back(driver: Any) -> None:
    """The server does it by itself for a connection that is closed."""
    if driver.is_closed():
        return
    try:
        await driver.execute("ROLLBACK", timeout=ROLLBACK_S)
    except BaseException as error:
        driver.terminate()
        if not isinstance(error, driver_errors()):
            raise


def _name_tenant(connection: Connection) -> None:
    tenant = connection.get_execution_options().get("autodev_tenant")
    if tenant is not None:
        # For this transaction: a connection that goes back to the pool has no tenant.
        connection.exec_driver_sql(f"SELECT set_config('{TENANT_SETTING}', $1, true)", (tenant,))


def meaning(error: exc.DBAPIError) -> Unavailable | None:
    """What a caller is told of PostgreSQL's error; None where the fault is the statement's own."""
    told = _meaning_of(error.orig)
    # Without a state it is the driver that complains: of a lost connection, or else of a value (a ValueError).
    lost = isinstance(error, exc.InterfaceError) and not isinstance(error.orig and error.orig.__cause__, ValueError)
    if told is None and (error.connection_invalidated or lost):
        return Unavailable(AWAY, reason="DATABASE_UNAVAILABLE")
    return told


def meaning_of_driver(error: Exception) -> Unavailable | None:
    """The same of one of `driver_errors`."""
    told = _meaning_of(error)
    if told is None and not hasattr(error, "sqlstate") and not isinstance(error, ValueError):
        return Unavailable(AWAY, reason="DATABASE_UNAVAILABLE")
    return told


def _meaning_of(error: BaseException | None) -> Unavailable | None:
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith(_CONFLICT_STATES) or _is_obsolete_plan(error):
        return Conflict(BUSY)
    if state == _FULL_STATE:
        return Unavailable(FULL, reason=DISK_FULL)
    if state.startswith(_BUSY_STATES):
        return Unavailable(BUSY, reason="DATABASE_BUSY")
    if state.startswith(_AWAY_STATES):
        return Unavailable(AWAY, reason="DATABASE_UNAVAILABLE")
    return None


def _is_obsolete_plan(error: BaseException | None) -> bool:
    # A migration changed a table that a prepared statement reads; the driver has dropped the statement by now.
    return type(error).__name__ == "InvalidCachedStatementError"

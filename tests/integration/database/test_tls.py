"""A server that lets nobody in without TLS, and URLs as PostgreSQL's own programs take them."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from autodev_runtime.database import Database
from autodev_runtime.database_urls import check_parameters, with_driver
from autodev_runtime.errors import Unavailable
from autodev_runtime.postgresql import DatabaseOptions
from tests.certificates import certificates_in
from tests.conftest import require
from tests.postgresql import ACCESS, SERVER_OPTIONS, SUPERUSER, Server, binaries


@dataclass(frozen=True)
class TlsServer:
    """Where it is, and the authority of its certificate."""

    host: str
    authority: Path

    def database(self, query: str) -> Database:
        """What a service has whose URL ends so."""
        url = check_parameters(with_driver(f"postgresql://{SUPERUSER}@{self.host}/postgres?{query}"))
        return Database(url, DatabaseOptions(all_tenants_url=url))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    programs = binaries()
    require(programs, "PostgreSQL is not installed")
    assert programs is not None
    # An address of its own: the port is the one of every server here.
    host = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    certificates = certificates_in(tmp_path_factory.mktemp("authority"), host)
    public = certificates.files("public")
    # The files' names are as they are seen from its data.
    tls = ("ssl=on", "ssl_cert_file=../tls.crt", "ssl_key_file=../tls.key")
    options = (each for each in SERVER_OPTIONS if not each.startswith("listen_addresses="))
    made = Server(programs, (*options, f"listen_addresses={host}", *tls))
    try:
        made.own(public.certificate.read_bytes(), "tls.crt")
        made.own(public.key.read_bytes(), "tls.key")
        made.make_bare(ACCESS + "hostssl all all 127.0.0.0/8 trust\n")
        authority = certificates.files("gateway").authority
        assert authority is not None
        yield TlsServer(host, authority)
    finally:
        made.remove()


async def encrypted(database: Database) -> bool:
    async with database.across_tenants() as session:
        return bool(await session.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")))


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={authority}", "ssl=require"])
async def test_a_url_asks_for_tls_as_libpqs_does(server: TlsServer, query: str) -> None:
    async with server.database(query.format(authority=server.authority)) as database:
        assert await encrypted(database)


@pytest.mark.parametrize("query", ["sslmode=disable", "sslmode=verify-full&sslrootcert={other}"])
async def test_what_a_url_asks_of_tls_holds(server: TlsServer, query: str, tmp_path: Path) -> None:
    other = certificates_in(tmp_path / "other").files("gateway").authority
    async with server.database(query.format(other=other)) as database:
        with pytest.raises(Unavailable):
            await encrypted(database)

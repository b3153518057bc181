"""Makes a key in the gateway's database itself, for a workspace that has none yet to make it with."""

import asyncio
import getpass
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError

from autodev.gateway.v1 import key_service_pb2 as pb
from autodev_cli.databases import POSTGRESQL, SQLITE, database_settings, parsed_url
from autodev_cli.errors import CommandError
from autodev_cli.stated import stated_here
from autodev_runtime.access import ROLES
from autodev_runtime.database import Database
from autodev_runtime.errors import AutoDevError
from autodev_runtime.identity import Caller
from autodev_runtime.migrations import NotMigrated, upgrade
from autodev_runtime.postgresql import DatabaseOptions
from autodev_runtime.recording import Recording
from autodev_runtime.row_security import RoleUnfit
from autodev_runtime.status import code_name, code_of

URL_VARIABLE = "AUTODEV_GATEWAY_DATABASE_URL"
MOST_VARIABLE = "AUTODEV_GATEWAY_MAX_KEYS_PER_TENANT"
CREATE = pb.DESCRIPTOR.services_by_name["KeyService"].methods_by_name["CreateKey"]


@dataclass(frozen=True)
class GatewayDatabase:
    """The gateway's database, and where it is, as people are told."""

    url: str
    options: DatabaseOptions
    place: str


def gateway_database(data_dir: Path) -> GatewayDatabase:
    """The database that a gateway with these settings has. Raises CommandError where there is none."""
    settings = database_settings("gateway", data_dir)
    missing = CommandError(
        f"no gateway database in {settings.data_dir}: give --data-dir or {URL_VARIABLE}; where none was made yet, "
        "`autodev migrate gateway` makes it"
    )
    if not settings.database_url and not settings.data_dir.is_dir():
        raise missing
    url, options = settings.database_url_for("gateway"), settings.database_options("gateway")
    parsed = parsed_url(URL_VARIABLE, url, SQLITE, POSTGRESQL)
    if parsed.drivername == POSTGRESQL:
        return GatewayDatabase(url, options, parsed.render_as_string(hide_password=True))
    # Opening it would make it, and a key in it that opens nothing.
    if not Path(parsed.database or "").is_file():
        raise missing
    return GatewayDatabase(url, options, str(parsed.database))


def create_offline(database: GatewayDatabase, tenant: str, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
    """What KeyService.CreateKey does, by who has the database. Raises CommandError."""
    if find_spec("autodev_gateway") is None:
        raise CommandError("the gateway is not installed here: make the key where it is")
    most_keys = _most_keys()
    try:
        return asyncio.run(_create(database, tenant, request, most_keys))
    except (AutoDevError, DBAPIError, OSError, RoleUnfit, NotMigrated) as error:
        raise CommandError(f"no key could be made in the gateway's database: {error}") from error


def _most_keys() -> int:
    """How many keys the gateway's settings allow a tenant. Raises CommandError."""
    from autodev_gateway.settings import GatewaySettings

    field = GatewaySettings.model_fields["max_keys_per_tenant"]
    try:
        given = stated_here(MOST_VARIABLE) or field.default
        return int(TypeAdapter(Annotated[int, field]).validate_python(given))
    except ValidationError as error:
        raise CommandError(f"{MOST_VARIABLE}: {error.errors()[0]['msg']}") from error


async def _create(
    place: GatewayDatabase, tenant: str, request: pb.CreateKeyRequest, most_keys: int
) -> pb.CreateKeyResponse:
    # The gateway's own code, which commands that talk to one do without.
    from autodev_gateway.audit.log import AuditLog
    from autodev_gateway.audit.recorder import AuditRecorder
    from autodev_gateway.identity.issued import now_us
    from autodev_gateway.identity.issuing import KeyIssuer
    from autodev_gateway.identity.key_servicer import grant_of, key_to_proto
    from autodev_gateway.identity.key_store import KeyStore

    async with Database(place.url, place.options) as database:
        await upgrade(database, "autodev_gateway")
        issuer = KeyIssuer(KeyStore(database), most_keys)
        operator = Caller(tenant, f"offline:{getpass.getuser()}", frozenset(ROLES.values()), credential="database")

        async def made() -> pb.CreateKeyResponse:
            fresh = await issuer.create(operator, grant_of(request), request.request_id, now_us())
            return pb.CreateKeyResponse(key=key_to_proto(fresh.key), text=fresh.text)

        recording = Recording(AuditRecorder(AuditLog(database)), CREATE)
        answer = await recording.around(
            operator, request.SerializeToString(), made, lambda error: code_name(code_of(error))
        )
        assert isinstance(answer, pb.CreateKeyResponse)
        return answer

"""Row-level security: PostgreSQL itself shows a tenant's connection that tenant's rows and no others.

It is put in place after every migration, for every table that has a tenant's column, so that no new table can be
forgotten. Each service has its schema and two roles (see postgresql.py), which own nothing and cannot bypass it:

- the tenants' role sees and writes rows of the tenant that its transaction names by the setting `autodev.tenant`;
- the role for all tenants' jobs sees and writes every row.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, make_url, text

from autodev_runtime.postgresql import TENANT_SETTING, DatabaseOptions, all_tenants_url
from autodev_runtime.scoping import TENANT_COLUMN
from autodev_runtime.scram import scram_verifier
from autodev_runtime.starting import CannotStart

VERSION_TABLE = "alembic_version"
APPEND_ONLY = "append-only"
"""The comment of a table in which the service may add rows, and change and delete none."""
OWN_ROWS = f"{TENANT_COLUMN} = nullif(current_setting('{TENANT_SETTING}', true), '')"
ALL_ROWS = "true"
_KEPT_AS = {
    OWN_ROWS: f"(({TENANT_COLUMN})::text = NULLIF(current_setting('{TENANT_SETTING}'::text, true), ''::text))",
    ALL_ROWS: ALL_ROWS,
}
"""How PostgreSQL writes them. A policy that is written otherwise is made anew."""


class RoleUnfit(CannotStart):
    """A role that a service must not run as, or that is missing: the operator has to act."""


@dataclass(frozen=True, slots=True)
class Role:
    """A login of a service."""

    name: str
    password: str | None


@dataclass(frozen=True, slots=True)
class ServiceRoles:
    """A service's two roles."""

    tenants: Role
    all_tenants: Role


@dataclass(frozen=True, slots=True)
class Policy:
    """Which rows of a table a role sees and writes."""

    name: str
    role: str
    rows: str


def roles_of(url: str, options: DatabaseOptions) -> ServiceRoles:
    """The roles that the service's settings name."""
    return ServiceRoles(_role_in(url), _role_in(all_tenants_url(url, options)))


def _role_in(url: str) -> Role:
    parsed = make_url(url)
    if not parsed.username:
        raise RoleUnfit("the service's database URL names no user")
    return Role(parsed.username, parsed.password)


def make_roles(connection: Connection, roles: ServiceRoles) -> None:
    """Make the roles that are missing. Raises RoleUnfit for one that is there and too powerful."""
    for role in (roles.tenants, roles.all_tenants):
        found = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": role.name}).scalar()
        if found is None:
            _make_role(connection, role)
        require_fit(connection, role.name)
    _require_apart(connection, roles)


def _make_role(connection: Connection, role: Role) -> None:
    may = "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"
    if not connection.execute(text(may)).scalar():
        raise RoleUnfit(
            f"there is no role {role.name}, and the owner may make none: "
            f"CREATE ROLE {role.name} LOGIN NOINHERIT PASSWORD '...'"
        )
    # As a verifier, so that the server's log of statements holds no password.
    secret = scram_verifier(role.password) if role.password else None
    statement = connection.execute(
        text("SELECT format('CREATE ROLE %I LOGIN NOINHERIT PASSWORD %L', CAST(:name AS text), CAST(:secret AS text))"),
        {"name": role.name, "secret": secret},
    ).scalar_one()
    connection.exec_driver_sql(statement)


def require_fit(connection: Connection, role: str) -> None:
    """Raises RoleUnfit where row-level security would not bind the role."""
    row = connection.execute(
        text(
            "SELECT rolsuper, rolbypassrls, pg_has_role(rolname, ("
            " SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER') AS owns,"
            " EXISTS (SELECT FROM pg_class c WHERE pg_has_role(rolname, c.relowner, 'MEMBER')"
            " AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))) AS owns_table"
            " FROM pg_roles WHERE rolname = :name"
        ),
        {"name": role},
    ).one()
    if row.rolsuper or row.rolbypassrls or row.owns or row.owns_table:
        raise RoleUnfit(
            f"row-level security does not bind the role {role}: a service's role must be no superuser, have no "
            "BYPASSRLS, and own neither the database nor the service's tables"
        )


def _require_apart(connection: Connection, roles: ServiceRoles) -> None:
    query = text("SELECT pg_has_role(CAST(:member AS text), CAST(:role AS text), 'MEMBER')")
    names = {"member": roles.tenants.name, "role": roles.all_tenants.name}
    if connection.execute(query, names).scalar():
        raise RoleUnfit(f"the role {roles.tenants.name} is a member of {roles.all_tenants.name}, and could become it")


def secure(connection: Connection, schema: str, roles: ServiceRoles) -> None:
    """Let the roles use the schema, and bind them in each of its tenant tables. May be done again."""
    quote = connection.dialect.identifier_preparer.quote
    space, tenants, everything = quote(schema), quote(roles.tenants.name), quote(roles.all_tenants.name)
    both = f"{tenants}, {everything}"
    run = connection.exec_driver_sql
    run(f"REVOKE ALL ON SCHEMA {space} FROM PUBLIC")
    run(f"GRANT USAGE ON SCHEMA {space} TO {both}")
    run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {space} TO {both}")
    kept = set(append_only_tables(connection, schema))
    for table in tables(connection, schema):
        name = f"{space}.{quote(table)}"
        if table == VERSION_TABLE:
            run(f"GRANT SELECT ON {name} TO {both}")
            continue
        if table in kept:
            run(f"REVOKE UPDATE, DELETE, TRUNCATE ON {name} FROM {both}")
            run(f"GRANT SELECT, INSERT ON {name} TO {both}")
            continue
        run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {both}")
    policies = (Policy("own_rows", roles.tenants.name, OWN_ROWS), Policy("all_rows", roles.all_tenants.name, ALL_ROWS))
    for table, stranger in _strangers(connection, schema, roles):
        run(f"DROP POLICY {quote(stranger)} ON {space}.{quote(table)}")
    there = _policies(connection, schema)
    bound = set(_secured_tables(connection, schema))
    for table in tenant_tables(connection, schema):
        name = f"{space}.{quote(table)}"
        # Each of these keeps everybody from the table until the end, and services may be at work.
        if table not in bound:
            run(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        for policy in policies:
            if (table, policy) in there:
                continue
            run(f"DROP POLICY IF EXISTS {policy.name} ON {name}")
            run(
                f"CREATE POLICY {policy.name} ON {name} TO {quote(policy.role)}"
                f" USING ({policy.rows}) WITH CHECK ({policy.rows})"
            )


def _policies(connection: Connection, schema: str) -> set[tuple[str, Policy]]:
    """The schema's policies by table, of those that are as `secure` makes them."""
    rows = connection.execute(
        text(
            "SELECT tablename, policyname, CAST(roles AS text[]) AS roles, qual FROM pg_policies"
            " WHERE schemaname = :schema AND permissive = 'PERMISSIVE' AND cmd = 'ALL' AND qual = with_check"
        ),
        {"schema": schema},
    )
    meant = {kept: rows for rows, kept in _KEPT_AS.items()}
    return {
        (row.tablename, Policy(row.policyname, row.roles[0], meant[row.qual]))
        for row in rows
        if len(row.roles) == 1 and row.qual in meant
    }


def _strangers(connection: Connection, schema: str, roles: ServiceRoles) -> list[tuple[str, str]]:
    """Tables, and policies on them that `secure` has not made and that show the tenants' role more rows than ours."""
    query = text(
        "SELECT tablename, policyname FROM pg_policies WHERE schemaname = :schema AND permissive = 'PERMISSIVE'"
        " AND policyname NOT IN ('own_rows', 'all_rows') AND EXISTS (SELECT FROM unnest(roles) AS bound (role)"
        " WHERE CASE WHEN role = 'public' THEN true ELSE pg_has_role(CAST(:role AS name), role, 'MEMBER') END)"
    )
    found = connection.execute(query, {"schema": schema, "role": roles.tenants.name})
    return [(row.tablename, row.policyname) for row in found]


def _widened(connection: Connection, schema: str, roles: ServiceRoles) -> list[str]:
    """The tables whose policies of ours show a tenant's connection every row.

    Not all that are written otherwise than `_KEPT_AS`: another version of PostgreSQL may write them so.
    """
    query = text(
        "SELECT tablename FROM pg_policies WHERE schemaname = :schema AND permissive = 'PERMISSIVE' AND ("
        " (policyname = 'own_rows' AND 'true' IN (qual, coalesce(with_check, qual)))"
        " OR (policyname = 'all_rows' AND roles <> ARRAY[CAST(:role AS name)]))"
    )
    return list(connection.execute(query, {"schema": schema, "role": roles.all_tenants.name}).scalars())


def require_secured(connection: Connection, schema: str, roles: ServiceRoles) -> None:
    """Raises RoleUnfit where row-level security does not bind the service's roles, or a tenant table has none."""
    require_fit(connection, roles.tenants.name)
    _require_apart(connection, roles)
    bare = set(tenant_tables(connection, schema)) - set(_secured_tables(connection, schema))
    if bare:
        raise RoleUnfit(f"no row-level security on {', '.join(sorted(bare))}: run `autodev migrate`")
    shown = {*_widened(connection, schema, roles), *(table for table, _ in _strangers(connection, schema, roles))}
    if shown:
        raise RoleUnfit(f"policies on {', '.join(sorted(shown))} may show a tenant others' rows: run `autodev migrate`")
    may_change = text(
        "SELECT has_table_privilege(CAST(:role AS text), format('%I.%I', CAST(:schema AS text), CAST(:name AS text)),"
        " 'UPDATE, DELETE, TRUNCATE')"
    )
    for table in append_only_tables(connection, schema):
        for role in (roles.tenants.name, roles.all_tenants.name):
            if connection.execute(may_change, {"role": role, "schema": schema, "name": table}).scalar():
                raise RoleUnfit(f"the role {role} may change {table}, which is only added to: run `autodev migrate`")


def tables(connection: Connection, schema: str) -> list[str]:
    """The schema's tables."""
    query = text(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(:schema))"
        " AND c.relkind IN ('r', 'p') ORDER BY c.relname"
    )
    return list(connection.execute(query, {"schema": schema}).scalars())


def append_only_tables(connection: Connection, schema: str) -> list[str]:
    """The schema's tables whose rows stay as they are, which their comment says."""
    query = text(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(:schema))"
        " AND c.relkind IN ('r', 'p') AND obj_description(c.oid, 'pg_class') = :comment"
    )
    return list(connection.execute(query, {"schema": schema, "comment": APPEND_ONLY}).scalars())


def tenant_tables(connection: Connection, schema: str) -> list[str]:
    """The schema's tables whose rows belong to tenants."""
    query = text(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = to_regnamespace(quote_ident(:schema)) AND c.relkind IN ('r', 'p')"
        " AND a.attname = :column AND NOT a.attisdropped ORDER BY c.relname"
    )
    return list(connection.execute(query, {"schema": schema, "column": TENANT_COLUMN}).scalars())


def _secured_tables(connection: Connection, schema: str) -> list[str]:
    query = text(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(:schema))"
        " AND c.relrowsecurity"
    )
    return list(connection.execute(query, {"schema": schema}).scalars())

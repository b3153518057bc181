"""A session of SQLAlchemy that cannot leave its tenant.

A tenant table is a model that inherits `TenantScoped`. Every query of one is narrowed to the session's tenant and every
new row belongs to it, whatever the query says; a query that cannot be narrowed is refused (scoping.py). Only literal
SQL, `text(...)`, is on its own. A session of no tenant (`info["tenant"]` is None) is for all of them.
"""

from typing import Any

from sqlalchemy import Insert, String, event
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria

from autodev_runtime.errors import PermissionDenied
from autodev_runtime.scoping import TENANT_COLUMN, foreign_tenant, unscoped_form


class TenantRequired(RuntimeError):
    """A tenant table was reached without a tenant: a programming error, raised before any SQL."""


class OneTenantRequired(PermissionDenied, TenantRequired):
    """A call that acts for all tenants reached what is of one: its caller, which is a service, is told so."""

    def __init__(self) -> None:
        super().__init__("this is done as one tenant, not as all of them", reason="TENANT_REQUIRED")


class TenantScoped:
    """Mixin of every table whose rows belong to a tenant."""

    tenant_id: Mapped[str] = mapped_column(String(128))


class ScopedSession(Session):
    """Narrows, and refuses; see the module."""


def _narrow(state: ORMExecuteState) -> None:
    tenant = state.session.info.get("tenant")
    if tenant is None:
        return
    if (flaw := unscoped_form(state.statement)) is not None:
        raise TenantRequired(f"this statement would reach past the session's tenant: {flaw}")
    if isinstance(state.statement, Insert):
        state.statement = _owned_insert(state.statement, state.parameters, tenant)
        return
    state.statement = state.statement.options(
        with_loader_criteria(TenantScoped, lambda cls: cls.tenant_id == tenant, include_aliases=True)
    )


def _owned_insert(statement: Insert, parameters: Any, tenant: str) -> Insert:
    if TENANT_COLUMN not in statement.table.c:
        return statement
    if (flaw := foreign_tenant(statement, parameters, tenant)) is not None:
        raise TenantRequired(f"an INSERT in a session of {tenant!r} holds {flaw}")
    return statement.values({TENANT_COLUMN: tenant})


def _own(session: Session, *_: object) -> None:
    tenant = session.info.get("tenant")
    if tenant is None:
        return
    for row in session.new:
        if isinstance(row, TenantScoped):
            if row.tenant_id not in (None, tenant):
                raise TenantRequired(f"a row of another tenant in a session of {tenant!r}")
            row.tenant_id = tenant


event.listen(ScopedSession, "do_orm_execute", _narrow)
event.listen(ScopedSession, "before_flush", _own)

"""Keeps every statement of a tenant's session within the tenant.

SQLAlchemy narrows what it knows to be about a mapped class. It misses some forms: tables used without their class,
aggregates whose only mention of a class is inside a FILTER or OVER, a second table of an UPDATE, INSERT from SELECT.
Those are refused here, before any SQL, with what to write instead.
"""

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import Delete, Executable, Insert, Select, Table, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.schema import Column
from sqlalchemy.sql.selectable import Alias, Join, SelectBase

TENANT_COLUMN = "tenant_id"


def unscoped_form(statement: Executable) -> str | None:
    """What of a statement would reach past the tenant, in words; None when all of it is narrowed."""
    for element in visitors.iterate(cast(ClauseElement, statement)):
        if isinstance(element, Select):
            flaw = _select_flaw(element)
        elif isinstance(element, Update | Delete | Insert):
            flaw = _change_flaw(element)
        else:
            continue
        if flaw is not None:
            return flaw
    return None


def foreign_tenant(insert: Insert, parameters: Any, tenant: str) -> str | None:
    """What of an INSERT states another tenant than the session's, in words; None when nothing does."""
    if insert._multi_values:
        return "many rows in .values(), which nobody checked: give them as parameters"
    stated = [getattr(value, "value", value) for column, value in (insert._values or {}).items() if _is_key(column)]
    rows = parameters if isinstance(parameters, list) else [parameters or {}]
    stated += [row[TENANT_COLUMN] for row in rows if TENANT_COLUMN in row]
    return "a row of another tenant" if any(each != tenant for each in stated) else None


def _is_key(column: Any) -> bool:
    return bool(getattr(column, "key", column) == TENANT_COLUMN)


def _select_flaw(select: Select[Any]) -> str | None:
    if not _is_orm(select) and any(_is_tenants(each) for each in select.get_final_froms()):
        return "a SELECT that names no mapped class outside of FILTER and OVER: add .select_from(TheClass)"
    if any(not _is_mapped(each) and _is_tenants(each) for each in select._from_obj):
        return "a SELECT from a table without its mapped class"
    # A column of the table alone, as SQLAlchemy itself writes them, adds nothing to a FROM that has the class.
    parts = list(_outside_subqueries(select))
    narrowed = {_name(each) for part in parts if _is_mapped(part) and (each := _table_of(part)) is not None}
    for part in parts:
        table = part.table if isinstance(part, Column) else None
        if table is not None and not _is_mapped(part) and _is_tenants(table) and _name(table) not in narrowed:
            return f"{part} without its mapped class"
    return None


def _change_flaw(change: Update | Delete | Insert) -> str | None:
    if not _is_orm(change) and _is_tenants(change.table):
        return f"a change of {change.table} without its mapped class"
    if isinstance(change, Insert):
        return "INSERT from SELECT" if change.select is not None else None
    for element in _outside_subqueries(change):
        table = element.table if isinstance(element, Column) else None
        if table is not None and _is_tenants(table) and _name(table) != _name(change.table):
            return f"a second table, {table}, in UPDATE or DELETE: ask for it in a subquery"
    return None


def _outside_subqueries(element: ClauseElement) -> Iterator[ClauseElement]:
    for child in element.get_children():
        if not isinstance(child, SelectBase):
            yield child
            yield from _outside_subqueries(child)


def _is_orm(statement: Any) -> bool:
    return bool(statement._propagate_attrs.get("compile_state_plugin") == "orm")


def _is_tenants(source: Any) -> bool:
    if isinstance(source, Join):
        return _is_tenants(source.left) or _is_tenants(source.right)
    if isinstance(source, Alias):
        return _is_tenants(source.element)
    return isinstance(source, Table) and TENANT_COLUMN in source.c


def _is_mapped(element: ClauseElement) -> bool:
    return "parententity" in element._annotations


def _table_of(element: ClauseElement) -> Any:
    return element.table if isinstance(element, Column) else element if isinstance(element, Table) else None


def _name(table: Any) -> str:
    return str(table.name)

"""The tables of the gateway. Shapes only: queries are in the stores beside the rules that ask them."""

from sqlalchemy import Boolean, Index, Integer, LargeBinary, String, Text, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autodev_runtime.columns import LargeInteger
from autodev_runtime.row_security import APPEND_ONLY
from autodev_runtime.scoped_session import TenantScoped


class Base(DeclarativeBase):
    """Base of the service's tables."""


class EventRow(TenantScoped, Base):
    """One event. `seq` is its place in the log and, in microseconds since 1970, when it was recorded."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_id", "tenant_id", "event_id", unique=True),
        # With the size, so that how many events fit a page is found without reading them.
        Index("events_by_tenant", "tenant_id", "seq", "size_bytes"),
    )
    seq: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[str] = mapped_column(String(36))
    type: Mapped[int] = mapped_column(Integer)
    agent_id: Mapped[str] = mapped_column(String(128))
    skill_id: Mapped[str] = mapped_column(String(128))
    size_bytes: Mapped[int] = mapped_column(Integer)
    event: Mapped[bytes] = mapped_column(LargeBinary)


class TrimRow(TenantScoped, Base):
    """Up to where retention has deleted a tenant's events."""

    __tablename__ = "event_trims"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    through_seq: Mapped[int] = mapped_column(LargeInteger)


class GroupRow(TenantScoped, Base):
    """A consumer group: every event up to `position` that passes the filter is settled, or has a delivery row."""

    __tablename__ = "consumer_groups"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    position: Mapped[int] = mapped_column(LargeInteger)
    filter: Mapped[str] = mapped_column(Text)
    """The filter as JSON; see groups/store.py."""
    term: Mapped[int] = mapped_column(LargeInteger, server_default="0")
    """How many times a gateway began to serve it."""


class DeliveryRow(TenantScoped, Base):
    """An event that a group has taken from the log and not settled."""

    __tablename__ = "deliveries"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    group_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    seq: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    attempts: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    error: Mapped[str] = mapped_column(Text)


class DeadLetterRow(TenantScoped, Base):
    """An event that a group could not handle."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index(
            "dead_letters_replaying",
            "tenant_id",
            "group_name",
            "seq",
            sqlite_where=text("replaying = 1"),
            postgresql_where=text("replaying"),
        ),
    )
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    group_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    seq: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(Text)
    dead_us: Mapped[int] = mapped_column(LargeInteger)
    replaying: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whoever serves the group is to deliver it again."""


class EpisodeRow(TenantScoped, Base):
    """One attempt that was reported: at `recorded_seq` in the log first, and at `reported_seq` last."""

    __tablename__ = "episodes"
    # One for each way to list them, so that a page reads its own rows only.
    __table_args__ = (
        Index("episodes_by_age", "tenant_id", "recorded_seq"),
        Index("episodes_by_agent", "tenant_id", "agent_id", "recorded_seq"),
        Index("episodes_by_outcome", "tenant_id", "outcome", "recorded_seq"),
        # And one by which they are deleted.
        Index("episodes_by_report", "tenant_id", "reported_seq"),
    )
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    agent_id: Mapped[str] = mapped_column(String(128))
    outcome: Mapped[int] = mapped_column(Integer)
    recorded_seq: Mapped[int] = mapped_column(LargeInteger)
    reported_seq: Mapped[int] = mapped_column(LargeInteger)
    task: Mapped[bytes] = mapped_column(LargeBinary)


class IssuedKeyRow(TenantScoped, Base):
    """A credential that an operator made, by its hash: the key itself is nowhere but with its holder."""

    __tablename__ = "issued_keys"
    __table_args__ = (
        Index("issued_keys_by_request", "tenant_id", "request_id", unique=True),
        Index("issued_keys_by_age", "tenant_id", "created_us", "id"),
        Index("issued_keys_by_revision", "revision"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    prefix: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(128))
    roles: Mapped[str] = mapped_column(String(256))
    read_only: Mapped[bool] = mapped_column(Boolean)
    description: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(160))
    """What made it, and the caller's id for that: `create:...` or `rotate:...`."""
    created_us: Mapped[int] = mapped_column(LargeInteger)
    created_by: Mapped[str] = mapped_column(String(128))
    expires_us: Mapped[int | None] = mapped_column(LargeInteger)
    revoked_us: Mapped[int | None] = mapped_column(LargeInteger)
    last_used_us: Mapped[int | None] = mapped_column(LargeInteger)
    replaced_by: Mapped[str] = mapped_column(String(36))
    revision: Mapped[int] = mapped_column(LargeInteger)
    """The change of any tenant's keys that last changed this one; see KeyRevisionRow."""


class KeyRevisionRow(Base):
    """How many changes of keys there were, of all tenants: one row, whose lock makes changes follow each other."""

    __tablename__ = "key_revision"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(LargeInteger)


class ReceiptRow(TenantScoped, Base):
    """A webhook that was acknowledged, and while `state` is `pending` also what is still to be passed on."""

    __tablename__ = "webhook_receipts"
    __table_args__ = (
        Index(
            "webhook_receipts_due",
            "due_us",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index("webhook_receipts_by_age", "received_us"),
        Index(
            "webhook_receipts_dead",
            "tenant_id",
            "due_us",
            "source",
            "webhook_id",
            sqlite_where=text("state = 'dead'"),
            postgresql_where=text("state = 'dead'"),
        ),
    )
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    call: Mapped[bytes] = mapped_column(LargeBinary)
    """An EvaluateDelayedWebhookRequest of FitnessService."""
    traceparent: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    received_us: Mapped[int] = mapped_column(LargeInteger)
    pending_since_us: Mapped[int] = mapped_column(LargeInteger)
    due_us: Mapped[int] = mapped_column(LargeInteger)
    """When its turn is, while it is pending; afterwards, when it was settled."""
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(Text)


class AuditEntryRow(TenantScoped, Base):
    """One entry of a tenant's audit log, as it was hashed. Nobody changes or deletes one."""

    __tablename__ = "audit_entries"
    __table_args__ = ({"comment": APPEND_ONLY},)
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    number: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    entry: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[str] = mapped_column(String(64))


class AuditActRow(TenantScoped, Base):
    """An event of something that a service did by itself, and that has its entry."""

    __tablename__ = "audit_acts"
    __table_args__ = ({"comment": APPEND_ONLY},)
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(36), primary_key=True)


class AuditOpenRow(TenantScoped, Base):
    """A decision whose outcome is not written yet."""

    __tablename__ = "audit_open"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    number: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    at_us: Mapped[int] = mapped_column(LargeInteger)

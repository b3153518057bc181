"""The settings of a service that has tables."""

from datetime import timedelta

from pydantic import Field

from autodev_runtime.database_urls import DatabaseUrl
from autodev_runtime.postgresql import DatabaseOptions
from autodev_runtime.settings import ServiceSettings


class DatabaseSettings(ServiceSettings):
    """How the service uses PostgreSQL; without effect on SQLite."""

    database_all_tenants_url: DatabaseUrl = ""
    """As `database_url`, with the role for jobs that serve all tenants; unset: the same, `_all` after the user."""
    database_pool_size: int = Field(default=8, ge=1)
    """Connections to PostgreSQL, of each of the two roles."""
    database_pool_wait_s: float = Field(default=30.0, gt=0)
    """How long a call waits for one of them before it is UNAVAILABLE."""
    database_connect_timeout_s: float = Field(default=5.0, gt=0)
    """How long PostgreSQL may take to accept a connection."""
    database_statement_timeout_s: float = Field(default=30.0, gt=0)
    """How long one statement may take."""
    database_answer_margin_s: float = Field(default=5.0, gt=0)
    """How much later an answer is still waited for, before the database is taken for away: one that is stopped, or a
    network that drops what is sent, says nothing. A batch of statements has as long as one."""
    database_lock_timeout_s: float = Field(default=10.0, gt=0)
    """How long a statement may wait for a lock."""
    database_idle_timeout_s: float = Field(default=60.0, gt=0)
    """How long a transaction may do nothing before PostgreSQL ends it."""

    def database_options(self, service: str) -> DatabaseOptions:
        """The settings as the database takes them. The service's name is its schema."""
        return DatabaseOptions(
            schema=service,
            all_tenants_url=self.database_all_tenants_url,
            pool_size=self.database_pool_size,
            pool_wait=timedelta(seconds=self.database_pool_wait_s),
            connect_timeout=timedelta(seconds=self.database_connect_timeout_s),
            statement_timeout=timedelta(seconds=self.database_statement_timeout_s),
            answer_margin=timedelta(seconds=self.database_answer_margin_s),
            lock_timeout=timedelta(seconds=self.database_lock_timeout_s),
            idle_in_transaction_timeout=timedelta(seconds=self.database_idle_timeout_s),
        )

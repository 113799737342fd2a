"""The database that CHAT["DATABASE"] names: its connection, and what the server needs of each kind:
options for DATABASES, and a limit on how long it waits for PostgreSQL, which may hang, or sit
behind a network that drops everything.

The limits are for the server's own threads: a view, a migration or an export, of the same process
too, may take as long as it takes.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, cast

import django
import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout
from psycopg_pool import ConnectionPool

from chat.conf import settings
from chat.protocol.errors import ErrorCode, ProtocolError

if TYPE_CHECKING:
    from django.db.models import Model

STATEMENT_TIMEOUT_SECONDS: Final = 5.0  # far more than any statement of the server's takes
CANCEL_SECONDS: Final = 0.5
SERVER_SESSION: Final = "chat server"  # the application_name within the server's own transactions
# One message; nothing of it stays with the session, which a pool or pooler gives to others then. A
# process that is stopped within a transaction keeps its channels locked: it has a third of its
# lease.
BEGIN: Final = (
    f"BEGIN; SET LOCAL application_name = '{SERVER_SESSION}'; SET LOCAL lock_timeout = {{}};"
    " SET LOCAL idle_in_transaction_session_timeout = {}"
)
# The cost of a page is a solid-state disk's: with the default of 4, PostgreSQL reads and sorts a
# whole channel for a page of history (10,000 messages: 48 ms instead of 0.1). Not among the
# parameters of the connection, for PgBouncer refuses those.
PAGE_COST: Final = "SET random_page_cost = 1.1"
# Other numbers in a copy (its cluster, a restored dump: its table), and after the promotion of a
# standby, which may lack the last commits (its timeline). Where a provider forbids to ask: the
# table's alone.
IDENTITIES: Final = (
    "SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),"
    " to_regclass('chat_channel')::oid FROM pg_control_system()",
    "SELECT to_regclass('chat_channel')::oid",
)
APPS: Final = frozenset({"chat", "tokens"})
POOL_RETRY_SECONDS: Final = 0.2
UNAVAILABLE: Final = "The database did not take this; try again."
READ_ONLY: Final = "The database is read-only."
FULL: Final = "The disk of the database is full."
REASONS: Final[dict[object, str]] = {  # by SQLSTATE; by the primary code of SQLite
    "25006": READ_ONLY,
    "53100": FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: "The file of the database cannot be read or written.",
}
OUTCOME_UNKNOWN: Final = (
    "The database did not answer, and may have taken this or not: to try again does it twice,"
    " unless both tries have the same deduplication_id."
)

Options = dict[str, object]
# A network that drops everything is noticed after 6 s, not after the kernel's 15 minutes.
NETWORK: Final[dict[str, int]] = {
    "connect_timeout": 2,
    **{"keepalives_idle": 2, "keepalives_interval": 2, "keepalives_count": 2},
    "tcp_user_timeout": 6000,
}

_thread = threading.local()


# --- which one it is ----------------------------------------------------------------------------


class _Connection:
    def __getattr__(self, name: str) -> object:
        return getattr(connections[settings.DATABASE], name)


connection = cast("BaseDatabaseWrapper", _Connection())
"""As `django.db.connection`: this thread's."""


def apart() -> bool:
    """Whether it is another than Django's own default, where users and sessions are."""
    return settings.DATABASE != DEFAULT_DB_ALIAS


def atomic() -> transaction.Atomic:
    return transaction.atomic(using=settings.DATABASE)


def on_commit(call: Callable[[], object], *, robust: bool = False) -> None:
    transaction.on_commit(call, using=settings.DATABASE, robust=robust)


class Router:
    """The rows of both apps are there, and nowhere else."""

    def db_for_read(self, model: "type[Model]", **hints: object) -> str | None:
        return settings.DATABASE if model._meta.app_label in APPS else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        return db == settings.DATABASE if app_label in APPS else None


# --- what fails ---------------------------------------------------------------------------------


class DatabaseUnavailable(ProtocolError):
    """The database failed, not what was asked of it. The caller may try again."""

    def __init__(self, message: str = UNAVAILABLE, *, cause: BaseException | None = None) -> None:
        super().__init__(ErrorCode.SERVICE_UNAVAILABLE, message)
        self.__cause__ = cause


def reason(error: BaseException | None) -> str:
    """Why the database takes no writes at all, in a sentence, or ""."""
    while error is not None:
        code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in REASONS:
            return REASONS[code]
        error = error.__cause__
    return ""


class StatementTimeout(psycopg.OperationalError):
    """A statement had no answer in time. Its connection is closed, so the database rolls back;
    after a COMMIT the outcome is unknown."""


def limit_statements(
    seconds: float = STATEMENT_TIMEOUT_SECONDS, lock_seconds: float = STATEMENT_TIMEOUT_SECONDS
) -> None:
    """From now on every statement of this thread may raise StatementTimeout and, in what `begin`
    begins, LockNotAvailable: somebody else holds what it needs for longer than `lock_seconds`."""
    _thread.timeout = seconds
    idle = settings.NODE_LEASE_SECONDS * 1000 // 3
    _thread.begin = BEGIN.format(round(lock_seconds * 1000), idle)


def begin() -> str:
    """What begins a transaction of this thread on PostgreSQL."""
    statement: str = getattr(_thread, "begin", "BEGIN")
    return statement


class Connection(psycopg.Connection[tuple[object, ...]]):
    """psycopg's, with the timeout: every wait for an answer goes through `wait`."""

    is_set_up = False
    identity = ""  # which database this is, as far as PostgreSQL tells

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        connection = super().connect(*args, **kwargs)
        if not CHECKS:
            _set_up(connection)
        return connection

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        limit: float | None = getattr(_thread, "timeout", None)
        if timeout is not None or limit is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, limit)
        except _WaitTimeout as error:
            self._cancel()
            self.close()
            raise StatementTimeout(f"PostgreSQL did not answer within {limit} s") from error

    def _cancel(self) -> None:
        """Where the statement waits for a lock, its session would do so when nobody wants it any
        more, and keep others waiting behind it."""
        if psycopg.capabilities.has_cancel_safe():
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=CANCEL_SECONDS)


def check(connection: Connection) -> None:
    """As the pool's own check; of a new connection, it sets the session up. Where one connection is
    broken, most likely all are: the pool replaces them at once, else each would make its next user
    wait."""
    try:
        if connection.is_set_up:
            ConnectionPool.check_connection(connection)
        else:
            _set_up(connection)
    except psycopg.Error:
        cast("ConnectionPool[Connection]", connection._pool).drain()
        raise


def _set_up(connection: Connection) -> None:
    connection.execute(PAGE_COST)
    connection.commit()
    connection.identity = _identity(connection)
    connection.is_set_up = True


def _identity(connection: Connection) -> str:
    for sql in IDENTITIES:
        try:
            found = connection.execute(sql).fetchone()
        except psycopg.Error:
            if connection.closed:
                raise
            connection.rollback()
        else:
            connection.commit()
            return " ".join(map(str, found or ()))
    return ""


# Django 5.2 has the pool check connections by a function of its own.
CHECKS: Final = {"check": check} if django.VERSION >= (6, 0) else {}


def _postgresql(options: Options) -> Options:
    # A small pool for the threads that read and write; it waits 2 s at most, and never hands out a
    # broken connection. Left alone it retries after 1 s, then after twice as long each time; here
    # it gives up after POOL_RETRY_SECONDS and begins anew at once, for ever: a caller that came
    # just before the database is back would wait in vain otherwise.
    options |= {
        "pool": {
            **{"min_size": 1, "max_size": 10},
            **{"timeout": 2, "reconnect_timeout": POOL_RETRY_SECONDS},
            "reconnect_failed": ConnectionPool.check,  # begins to connect where nothing is open
            **{"connection_class": Connection, **CHECKS},
        },
        **NETWORK,
    }
    return {"OPTIONS": options, "CONN_HEALTH_CHECKS": True}


def _sqlite(options: Options) -> Options:
    # WAL lets readers work beside the writer; FULL keeps an acknowledged message through a power
    # cut, and group commit makes it cheap. IMMEDIATE: a transaction that will write says so first.
    # A checkpoint each 16 MB instead of 4 copies the same pages less often: 8 % of a message.
    options |= {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        " PRAGMA wal_autocheckpoint=4000;",
    }
    return {"OPTIONS": options}


def for_server(database: dict[str, Any]) -> dict[str, Any]:
    """An entry of DATABASES with what the server needs besides."""
    engine = ENGINES[database["ENGINE"].rpartition(".")[2].removesuffix("3")]
    return database | engine(dict(database.get("OPTIONS", {})))


ENGINES: Final[dict[str, Callable[[Options], Options]]] = {
    "sqlite": _sqlite,
    "postgres": _postgresql,
    "postgresql": _postgresql,
}

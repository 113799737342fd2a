"""Whether the database takes what the server writes, has its indexes, and has room."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.core.checks import Tags, run_checks
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Index, Model

from chat import checks
from chat.conf import settings
from chat.doctor.findings import Finding, Observed, Version, error, sentence, warning
from chat.doctor.settings import as_findings
from chat.store import search
from chat.store.databases import FULL, READ_ONLY, connection, reason

MIN_POSTGRESQL: Final = 15
SESSIONS: Final = 13  # of a process at most (docs/deploy.md, "PostgreSQL")
SKEW_SECONDS: Final = 2.0
LOW_BYTES: Final = 1024**3
FULL_BYTES: Final = 128 * 1024**2

HELD_SECONDS: Final = 2.0
BEGIN: Final = {
    "postgresql": f"BEGIN; SET LOCAL lock_timeout = {HELD_SECONDS * 1000:.0f}",
    "sqlite": "BEGIN IMMEDIATE",
}
MENDS: Final = {
    READ_ONLY: "End that (default_transaction_read_only, how its file system is mounted), or let"
    " DATABASE_URL name the primary.",
    FULL: "Make its disk larger, or let messages live less long and run `manage.py purge_expired`.",
}
OTHERWISE: Final = "End what holds the lock, or give this user the permission to write."
WRITE: Final = (
    "INSERT INTO chat_channel (name, number, last_message_id, changed_at, epoch)"
    " VALUES ('#doctor', 0, '', CURRENT_TIMESTAMP, '')"
)
SERVER: Final = (
    "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,"
    " current_setting('max_connections')::int,"
    " (SELECT count(*) FROM chat_node WHERE lease_until > clock_timestamp())"
)
INVALID: Final = (
    "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    " AND pg_table_is_visible(indrelid) ORDER BY 1"
)
# Transactions that may keep the server from writing: of other roles only locks are to be seen.
HOLDERS: Final = """
    SELECT pid, virtualtransaction, string_agg(DISTINCT relname::text, ', ' ORDER BY relname::text)
    FROM pg_locks JOIN pg_class ON pg_class.oid = relation AND pg_table_is_visible(relation)
    WHERE granted AND locktype = 'relation' AND relkind IN ('r', 'p') AND relname LIKE 'chat\\_%'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock') AND pid <> pg_backend_pid()
    AND relname <> 'chat_outboxentry'
    GROUP BY pid, virtualtransaction ORDER BY pid
"""
HOLDER: Final = (
    "SELECT concat_ws(', ', usename, nullif(application_name, ''), state) FROM pg_stat_activity"
    " WHERE pid = {}"
)
# No row: this role may not know where the rows are, or they are not on this host.
DIRECTORIES: Final = (
    "SELECT place FROM (SELECT setting AS place FROM pg_settings WHERE name = 'data_directory'"
    " UNION SELECT pg_tablespace_location(dattablespace) FROM pg_database"
    " WHERE datname = current_database()) AS places WHERE place <> ''"
    " AND coalesce(host(inet_server_addr()), '127.0.0.1') IN ('127.0.0.1', '::1')"
)


def database() -> Iterator[Observed]:
    if settings.DATABASE not in connections or connection.vendor not in BEGIN:
        return  # a check says so
    if problems := checks.database_problems():
        yield from map(_unusable, problems)
        return
    probe = connection.copy()
    probe.settings_dict["OPTIONS"].pop("pool", None)
    with closing(probe):
        if probe.vendor == "postgresql":
            yield from _locked(probe)
        yield from _unwritable(probe)
        yield from _missing_indexes(probe)
        yield from _postgresql(probe) if probe.vendor == "postgresql" else _sqlite(probe)
    try:
        found = run_checks(tags=[Tags.database], databases=[settings.DATABASE])
        yield from as_findings(found)
    finally:
        connection.close()


def _unusable(problem: str) -> Finding:
    if problem == checks.NOT_MIGRATED:
        why = "The server refuses to start, or meets tables that lack what it needs."
        return error("database.not-migrated", problem, why, "manage.py migrate")
    return error(
        "database.unusable",
        problem,
        "Nothing is stored, and nobody is let in.",
        "Start it, or correct DATABASE_URL; `manage.py dbshell` tries the same address.",
    )


def _select(probe: BaseDatabaseWrapper, sql: str) -> list[tuple[Any, ...]]:
    with probe.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _unwritable(probe: BaseDatabaseWrapper) -> Iterator[Finding]:
    """Leaves nothing behind: the row is rolled back."""
    try:
        with probe.cursor() as cursor:
            cursor.execute(BEGIN[probe.vendor])
            try:
                cursor.execute(WRITE)
            finally:
                cursor.execute("ROLLBACK")
    except DatabaseError as failure:
        yield error(
            "database.not-writable",
            f"A row cannot be written. {reason(failure) or sentence(failure) + '.'}",
            "What is published with `store` is refused, and nobody is let in.",
            MENDS.get(reason(failure), OTHERWISE),
        )


def _missing_indexes(probe: BaseDatabaseWrapper) -> Iterator[Finding]:
    for model in apps.get_app_config("chat").get_models():
        table = model._meta.db_table
        with probe.cursor() as cursor:
            present = probe.introspection.get_constraints(cursor, table)
        for index in model._meta.indexes:
            if index.name not in present:
                yield error(
                    "database.index-missing",
                    f"The table {table} has no index {index.name}.",
                    "Each look-up reads the whole table, more slowly with each row.",
                    f"In `manage.py dbshell`: {_creation(probe, model, index)}",
                )


def _creation(probe: BaseDatabaseWrapper, model: type[Model], index: Index) -> str:
    """The statement that makes it, beside servers that write on."""
    with probe.schema_editor(collect_sql=True) as editor:
        editor.add_index(model, index)
    beside = " CONCURRENTLY" if probe.vendor == "postgresql" else ""
    return str(editor.collected_sql[0]).replace("CREATE INDEX", f"CREATE INDEX{beside}")


# --- PostgreSQL ---------------------------------------------------------------------------------


def _postgresql(probe: BaseDatabaseWrapper) -> Iterator[Observed]:
    [[version, major, sessions, processes]] = _select(probe, SERVER)
    yield Version("PostgreSQL", version)
    if major < MIN_POSTGRESQL:
        yield error(
            "database.too-old",
            f"PostgreSQL {version} is older than {MIN_POSTGRESQL}.",
            "The server is not tried with it, and uses what it may not have.",
            "Upgrade it with pg_upgrade.",
        )
    yield from _too_few_sessions(sessions, SESSIONS * (processes + 1))
    yield from _skewed(probe)
    for [name] in _select(probe, INVALID):
        if name != search.INDEX:  # a check names that one
            yield error(
                "database.index-invalid",
                f"The index {name} is not valid.",
                "PostgreSQL does not use it, and keeps it up to date all the same.",
                f"manage.py dbshell -- -c 'REINDEX INDEX CONCURRENTLY {name}'",
            )
    for [directory] in _select(probe, DIRECTORIES):
        yield from _short_of_room(Path(directory))


def _locked(probe: BaseDatabaseWrapper) -> Iterator[Finding]:
    """By transactions that are there HELD_SECONDS later, too."""
    before = {holder[:2] for holder in _select(probe, HOLDERS)}
    if before:
        time.sleep(HELD_SECONDS)
    for pid, transaction, tables in _select(probe, HOLDERS) if before else ():
        if (pid, transaction) in before:
            [[who]] = _select(probe, HOLDER.format(pid)) or [("ended",)]
            yield warning(
                "database.locked",
                f"Session {pid} of PostgreSQL ({who}) has been in one transaction for more than"
                f" {HELD_SECONDS:g} s, and holds locks on {tables}.",
                "Writes that need these rows or tables wait for 5 s, and are refused.",
                f"End its transaction, or: manage.py dbshell -- -c 'SELECT"
                f" pg_terminate_backend({pid})'",
            )


def _too_few_sessions(sessions: int, needed: int) -> Iterator[Finding]:
    if sessions < needed:
        yield warning(
            "database.sessions",
            f"PostgreSQL takes {sessions} connections, and the processes of this site may need"
            f" {needed}: {SESSIONS} each, with one process more while they are exchanged.",
            "Under load some of them cannot read or write.",
            f"ALTER SYSTEM SET max_connections = {2 * needed}; then restart PostgreSQL.",
        )


def _skewed(probe: BaseDatabaseWrapper) -> Iterator[Finding]:
    before = time.time()
    [[theirs]] = _select(probe, "SELECT extract(epoch FROM clock_timestamp())::float")
    after = time.time()
    skew = max(before - theirs, theirs - after)
    if skew > SKEW_SECONDS:
        yield warning(
            "clocks.differ",
            f"The clock of this host and that of the database differ by {skew:.0f} s.",
            "Tokens are accepted too early or too long, by this host's clock; what is scheduled or"
            " expires goes by the database's.",
            "timedatectl set-ntp true, on both hosts",
        )


# --- SQLite, and disks --------------------------------------------------------------------------


def _sqlite(probe: BaseDatabaseWrapper) -> Iterator[Observed]:
    [[version]] = _select(probe, "SELECT sqlite_version()")
    yield Version("SQLite", version)
    file = Path(probe.settings_dict["NAME"])
    if file.exists():  # else it is in memory
        yield from _short_of_room(file.parent)


def _short_of_room(directory: Path) -> Iterator[Finding]:
    """Nothing of a directory that is not here, or not to be seen."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return
    if free < LOW_BYTES:
        found = error if free < FULL_BYTES else warning
        yield found(
            "database.disk",
            f"The disk of the database ({directory}) has {free / 1024**2:,.0f} MiB free.",
            "Without room, nothing is stored and nobody is let in.",
            "Make it larger, or let messages live less long and run `manage.py purge_expired`.",
        )

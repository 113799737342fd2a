"""Databases of millions of messages: a tenth of them in one channel, each of these with reactions.

Filled by the database itself. A SQLite file is kept for the next time, in the user's cache; what
a run adds to it is little.
"""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.databases import Database
from tests.support.servers import ROOT, manage, server_environment

CHANNEL: Final = "large"
SHARE: Final = 10
DATA: Final = '"a message of an ordinary length, as people write them"'
COLUMNS: Final = "id, channel_id, number, event, data, uid, umd, by_server, expires_at"
UNTIL: Final = "2099-01-01 00:00:00"

SQLITE: Final = """
INSERT INTO chat_channel (id, name, number, last_message_id, changed_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
SELECT i, CASE i WHEN 1 THEN '{channel}' ELSE 'other-' || i END, {rows},
  '01K5' || printf('%022d', {rows}), '2026-01-01 00:00:00' FROM n;
INSERT INTO chat_message ({columns})
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT '01K5' || printf('%022d', i), CASE WHEN i % {share} = 0 THEN 1 ELSE 2 + i % 999 END, i,
  'chat', '{data}', 'user-' || (i * 7919 % 5000), 'null', 0, '{until}' FROM n;
INSERT INTO chat_reaction (number, uid, umd, reaction, removed, created_at, channel_id, message_id)
SELECT number, uid, 'null', '👍', 0, '{until}', 1, id FROM chat_message WHERE channel_id = 1
UNION ALL
SELECT number, 'pam', 'null', '👍', 0, '{until}', 1, id FROM chat_message WHERE channel_id = 1
UNION ALL
SELECT number, 'jim', 'null', '❤️', 0, '{until}', 1, id FROM chat_message WHERE channel_id = 1;
ANALYZE;
"""
POSTGRESQL: Final = (
    SQLITE.replace("printf('%022d', {rows})", "lpad({rows}::text, 22, '0')")
    .replace("printf('%022d', i)", "lpad(i::text, 22, '0')")
    .replace("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)\n", "")
    .replace(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})\n", ""
    )
    .replace("'2026-01-01 00:00:00' FROM n", "now() FROM generate_series(1, 1000) n(i)")
    .replace("'{until}' FROM n", "'{until}'::timestamptz FROM generate_series(1, {rows}) n(i)")
    .replace("i * 7919", "i::bigint * 7919")
    .replace("'null', 0,", "'null', false,")
    .replace("', 0, '{until}'", "', false, '{until}'::timestamptz")
)


def large(database: Database, rows: int) -> str:
    """The address of one; a new one where there is none of this size and these migrations."""
    if database.postgres is None:
        return f"sqlite:///{_sqlite(rows)}"
    url = database.url("large")
    _migrate(database.directory, url)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _filling(POSTGRESQL, rows).split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("SELECT setval('chat_channel_id_seq', 1000)")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return url


def cached(rows: int) -> Path:
    migrations = sorted((ROOT / "chat" / "migrations").glob("0*.py"))
    text = b"".join(path.read_bytes() for path in migrations) + SQLITE.encode()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"{rows}-{hashlib.sha256(text).hexdigest()[:12]}.sqlite3"
    return caches / "chatsite-bench" / name


def _sqlite(rows: int) -> Path:
    path = cached(rows)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        _migrate(path.parent, f"sqlite:///{new}")
        with closing(sqlite3.connect(new)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA cache_size=-1000000")
            connection.executescript("BEGIN;" + _filling(SQLITE, rows) + "COMMIT;")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        new.rename(path)
    return path


def _filling(sql: str, rows: int) -> str:
    return sql.format(
        rows=rows, share=SHARE, channel=CHANNEL, data=DATA, until=UNTIL, columns=COLUMNS
    )


def _migrate(directory: Path, url: str) -> None:
    env = server_environment(directory, DATABASE_URL=url)
    manage(env, "migrate", "--no-input").check_returncode()

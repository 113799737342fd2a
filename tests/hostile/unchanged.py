"""Whether a refused call or frame left anything behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg

from tests.support.client import Client
from tests.support.stored import SQLITE

SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
POSTGRES_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
OURS = ("chat_", "tokens_")
PASSING = {"chat_node"}  # a node's lease is renewed all the time
# Of these, only the client's own: others who connected before may be leaving still.
OF_A_CONNECTION = {"chat_connection": "id", "chat_subscription": "connection_id"}

Rows = dict[str, set[tuple[Any, ...]]]


def all_rows(client: Client) -> Rows:
    """The rows of every table but those in PASSING."""
    address = client.server.env["DATABASE_URL"]
    if address.startswith(SQLITE):
        database: Any = sqlite3.connect(address.removeprefix(SQLITE), timeout=5)
        names = SQLITE_TABLES
    else:
        database, names = psycopg.connect(address), POSTGRES_TABLES
    with closing(database):
        tables = {name for (name,) in database.execute(names).fetchall() if name.startswith(OURS)}
        return {name: _rows(database, name, client.id) for name in sorted(tables - PASSING)}


def _rows(database: Any, table: str, connection_id: str) -> set[tuple[Any, ...]]:
    column = OF_A_CONNECTION.get(table)
    own = f" WHERE {column} = '{connection_id}'" if column else ""
    return set(database.execute(f"SELECT * FROM {table}{own}"))  # noqa: S608 - names of our own

"""Whether a refused call or frame left anything behind."""

from __future__ import annotations

from typing import Any

from tests.servers import Server
from tests.wire.client import Client
from tests.wire.database import SQLITE, rows

SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
POSTGRES_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
OURS = ("chat_", "tokens_")
# What changes by itself: the lease of a node, and what others leave who connected before.
PASSING = {"chat_node"}
OF_A_CONNECTION = {
    "chat_connection": "id = ?",
    "chat_subscription": "connection_id = ?",
}

Rows = dict[str, list[tuple[Any, ...]]]


def tables(server: Server) -> list[str]:
    """All that the project has, but those in PASSING."""
    sqlite = server.env["DATABASE_URL"].startswith(SQLITE)
    names = [name for (name,) in rows(server, SQLITE_TABLES if sqlite else POSTGRES_TABLES)]
    return sorted(name for name in names if name.startswith(OURS) and name not in PASSING)


def all_rows(client: Client) -> Rows:
    """The rows of every table; of connections and subscriptions, those of this client."""
    found = {}
    for table in tables(client.server):
        condition = OF_A_CONNECTION.get(table)
        where, values = (f" WHERE {condition}", [client.id]) if condition else ("", [])
        sql = f"SELECT * FROM {table}{where}"  # noqa: S608 - names of our own
        found[table] = sorted(rows(client.server, sql, *values), key=str)
    return found

"""The rows of a running server, read and changed beside it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from tests.support.servers import Server

SQLITE = "sqlite:///"


def rows(server: Server, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Runs one statement, with `?` for each parameter, and gives its rows."""
    address = server.env["DATABASE_URL"]
    if not address.startswith(SQLITE):
        with psycopg.connect(address) as database:
            cursor = database.execute(sql.replace("?", "%s").encode(), parameters)
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(address.removeprefix(SQLITE), timeout=5)) as database, database:
        return database.execute(sql, parameters).fetchall()


PAST = "2020-01-01 00:00:00"


def expire(server: Server, message: str) -> None:
    """Lets a stored message have expired a moment ago; nothing has purged it yet."""
    rows(server, "UPDATE chat_message SET expires_at = ? WHERE id = ?", PAST, message)


def expire_entries(server: Server, channel: str, keys: str = "%") -> None:
    sql = (
        "UPDATE chat_storageentry SET expires_at = ? WHERE key LIKE ? AND channel_id ="
        " (SELECT id FROM chat_channel WHERE name = ?)"
    )
    rows(server, sql, PAST, keys, channel)


def rows_of(server: Server, connection_id: str) -> int:
    """How many rows a connection and its subscriptions have."""
    [[connections]] = rows(
        server, "SELECT count(*) FROM chat_connection WHERE id = ?", connection_id
    )
    [[subscriptions]] = rows(
        server, "SELECT count(*) FROM chat_subscription WHERE connection_id = ?", connection_id
    )
    return int(connections) + int(subscriptions)


@contextmanager
def writes_blocked(server: Server) -> Iterator[None]:
    """While it lasts nothing is committed by the server, though all can be read."""
    address = server.env["DATABASE_URL"]
    if address.startswith(SQLITE):
        path = address.removeprefix(SQLITE)
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")
    else:
        with psycopg.connect(address) as database:
            tables = "chat_channel, chat_connection, chat_subscription, chat_message"
            database.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE".encode())
            yield
            database.rollback()

"""The connection to PostgreSQL on which a process renews its lease: outside of the pool, with a
thread of its own, so that nothing that is queued or locked delays it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg
from psycopg_pool import ConnectionPool

from chat.store.databases import Connection, DatabaseUnavailable, limit_statements
from chat.store.databases import connection as database

# In one message: nobody can be stopped while the row is locked, which would keep others from taking
# it over. PostgreSQL gives up before we do: who only gave up here would still wait for its lock.
RENEW: Final = (
    "SET LOCAL statement_timeout = %s;"
    " UPDATE chat_node SET lease_until = clock_timestamp() + make_interval(secs => %s)"
    " WHERE id = %s"
)


class LeaseConnection:
    def __init__(self, statement_seconds: float) -> None:
        self._limit_ms = round(statement_seconds * 900)
        self._thread = ThreadPoolExecutor(1, "lease", limit_statements, (statement_seconds,))
        self._connection: Connection | None = None

    async def renew(self, node_id: str, seconds: float) -> bool:
        """Whether the row was there; raises SERVICE_UNAVAILABLE."""
        values = self._limit_ms, seconds, node_id
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._renew, values)

    def close(self) -> None:
        self._thread.submit(self._close)

    def _renew(self, values: tuple[int, float, str]) -> bool:
        try:
            cursor = psycopg.ClientCursor(self._open()).execute(RENEW, values)
            cursor.nextset()
            return bool(cursor.rowcount)
        except psycopg.Error as error:
            self._close()
            raise DatabaseUnavailable from error

    def _open(self) -> Connection:
        """One that was lost is replaced."""
        if self._connection is not None:
            try:
                ConnectionPool.check_connection(self._connection)
            except psycopg.Error:
                self._close()
        if self._connection is None:
            parameters = database.get_connection_params() | {"autocommit": True}
            self._connection = Connection.connect(**parameters)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

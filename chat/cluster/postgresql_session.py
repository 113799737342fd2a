"""A session of PostgreSQL's for the broker, in autocommit: on libpq and the event loop, so that it
hears notifications and executes statements at once."""

import asyncio
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGresult

from chat.conf import settings
from chat.store.databases import NETWORK
from chat.store.databases import connection as database

# What is for sessions of Django's own.
OF_DJANGO: Final = {"pool", "cursor_factory", "context", "prepare_threshold"}


def address(name: str) -> str:
    """Where a session of this name is opened. Raises ConnectionError where BROKER_URL is malformed;
    the driver would say how, and what is in it."""
    django = {} if settings.BROKER_URL else database.get_connection_params()
    more = {key: django[key] for key in django if key not in OF_DJANGO}
    more |= {**NETWORK, "application_name": name}
    try:
        return make_conninfo(settings.BROKER_URL, **more)
    except psycopg.ProgrammingError:
        raise ConnectionError("BROKER_URL is malformed") from None


class Session:
    """One of PostgreSQL's. `lost` is done when it has ended, with the reason."""

    _result: PGresult  # the last

    def __init__(
        self, connection: psycopg.AsyncConnection, on_notify: Callable[[bytes], object]
    ) -> None:
        self._connection = connection  # psycopg's, which closes it where we do not
        self._libpq = connection.pgconn
        self._socket = self._libpq.socket
        self.pid = self._libpq.backend_pid
        self._on_notify = on_notify
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[PGresult] | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.lost.add_done_callback(lambda lost: lost.cancelled() or lost.exception())
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def open(
        cls, name: str, on_notify: Callable[[bytes], object] = lambda _: None
    ) -> "Session":
        connect = psycopg.AsyncConnection.connect
        return cls(await connect(address(name), autocommit=True), on_notify)

    async def execute(self, sql: str, *values: object) -> PGresult:
        """One at a time; without values, it may be several statements in one transaction."""
        self._answer = self._loop.create_future()
        if values:
            self._libpq.send_query_params(sql.encode(), [str(value).encode() for value in values])
        else:
            self._libpq.send_query(sql.encode())
        while self._libpq.flush():
            writable = self._loop.create_future()
            self._loop.add_writer(self._socket, writable.set_result, None)
            try:
                await writable
            finally:
                self._loop.remove_writer(self._socket)
        return await self._answer

    async def numbers(self, sql: str, *values: object) -> list[int]:
        """The columns of the row that the last statement gives."""
        result = await self.execute(sql, *values)
        return [int(result.get_value(0, column) or 0) for column in range(result.nfields)]

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._libpq.finish()
        if not self.lost.done():
            self.lost.cancel()

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
            while self._answer is not None and not self._libpq.is_busy():
                self._take_result(self._answer)
            while (notify := self._libpq.notifies()) is not None:  # those behind a result, too
                self._on_notify(notify.extra)
        except Exception as error:  # the outermost edge: who waits for it raises it
            self._loop.remove_reader(self._socket)
            for waiting in (self._answer, self.lost):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(error)

    def _take_result(self, answer: "asyncio.Future[PGresult]") -> None:
        result = self._libpq.get_result()
        if result is None:
            self._answer = None
            if not answer.done():
                answer.set_result(self._result)
        elif result.status in SUCCESSES:
            self._result = result
        elif not answer.done():
            answer.set_exception(psycopg.OperationalError(result.get_error_message()))


SUCCESSES: Final = (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK)

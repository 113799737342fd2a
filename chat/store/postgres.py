"""How long the server waits for PostgreSQL: one that stands still, or a network that swallows all,
answers nothing and breaks no connection.

For the server's own threads only: whoever migrates or exports may take as long as it takes.
"""

import threading
from typing import Any, Final, cast

import psycopg
from psycopg import Error, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout
from psycopg_pool import ConnectionPool
from psycopg_pool.base import AttemptWithBackoff

STATEMENT_SECONDS: Final = 5.0
"""As long as SQLite is waited for (`timeout` in settings). No statement of the server's takes that
long where the database works."""

_thread = threading.local()


class StandsStill(OperationalError):
    """A statement had no answer in time. Its connection is closed: as no COMMIT will follow, the
    database rolls back what was begun, whenever it goes on. Of a COMMIT itself nothing is known."""


def be_impatient() -> None:
    """From now on every statement of this thread raises StandsStill after STATEMENT_SECONDS."""
    _thread.seconds = STATEMENT_SECONDS


class Connection(psycopg.Connection[Any]):
    """psycopg's, as the pool makes it: the one place through which every wait for an answer goes,
    the pool's own look at a connection that it hands out as well."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        seconds = getattr(_thread, "seconds", None)
        if timeout is not None or seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, seconds)
        except _WaitTimeout as error:
            self.close()
            raise StandsStill(f"PostgreSQL did not answer within {seconds} s") from error


# --- the pool ---

RETRY_SECONDS: Final = 0.2
"""How soon the pool finds PostgreSQL again. Left to itself it waits longer and longer."""


# Between attempts to connect, and before it hands out another where it has found one broken: the
# pool has no option for either, and waits 1 s, then twice as long each time.
AttemptWithBackoff.INITIAL_DELAY = RETRY_SECONDS
AttemptWithBackoff.DELAY_BACKOFF = 1.0


def check(connection: Connection) -> None:
    """As the pool's own. Where one is broken, so are most likely all that lie in the pool: they are
    made anew at once, else each would cost whoever asks a wait of its own."""
    try:
        ConnectionPool.check_connection(connection)
    except Error:
        cast("ConnectionPool[Any]", connection._pool).drain()
        raise

"""How soon psycopg's pool finds PostgreSQL again: at its next attempt, a fifth of a second later at
most. Left to itself it waits longer and longer, and then for nothing.
"""

from typing import Any, Final, cast

from psycopg import Error
from psycopg_pool import ConnectionPool
from psycopg_pool.base import AttemptWithBackoff

from .patience import Connection

RETRY_SECONDS: Final = 0.2

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

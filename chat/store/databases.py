"""What the server needs of each database: options for DATABASES, beside those of its address."""

from collections.abc import Callable
from typing import Any, Final

Options = dict[str, Any]


def _sqlite(options: Options, lease_seconds: int) -> Options:
    # WAL lets readers work beside the writer; FULL keeps an acknowledged message through a power
    # cut, and group commit makes it cheap. IMMEDIATE: a transaction that will write says so first.
    options |= {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    return {"OPTIONS": options}


def _postgresql(options: Options, lease_seconds: int) -> Options:
    # A small pool for the threads that read; waits 2 s at most, and never hands out a dead one.
    # It never gives up connecting: who asked just before would wait in vain, the database back.
    # The cost of a page is a solid-state disk's: with the default of 4, PostgreSQL reads and sorts
    # a whole channel for a page of history (10,000 messages: 48 ms instead of 0.1).
    # A process that is stopped within a transaction keeps its channels locked, and so keeps others
    # from writing, and from telling that its members are gone: it has a third of its lease.
    # A network that swallows all is noticed after 6 s, not after the kernel's quarter of an hour.
    from chat.store.postgres import (
        Connection,  # with psycopg
        check,
    )

    idle_ms = lease_seconds * 1000 // 3
    session = f"-c random_page_cost=1.1 -c idle_in_transaction_session_timeout={idle_ms}"
    options |= {
        "pool": {
            **{"min_size": 1, "max_size": 8, "timeout": 2, "reconnect_timeout": float("inf")},
            **{"connection_class": Connection, "check": check},
        },
        "connect_timeout": 2,
        "options": f"{options.get('options', '')} {session}".strip(),
        **{"keepalives_idle": 2, "keepalives_interval": 2, "keepalives_count": 2},
        "tcp_user_timeout": 6000,
    }
    return {"OPTIONS": options, "CONN_HEALTH_CHECKS": True}


ENGINES: Final[dict[str, Callable[[Options, int], Options]]] = {
    "sqlite": _sqlite,
    "postgres": _postgresql,
    "postgresql": _postgresql,
}

"""Reads beside the event loop, in a small pool of threads of their own: Django's async ORM runs
every query of a process in one thread.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, reset_queries

from chat.store.databases import (
    STATEMENT_TIMEOUT_SECONDS,
    DatabaseUnavailable,
    connection,
    limit_statements,
)

UNANSWERED: Final = "The database does not answer; try again."

_threads = ThreadPoolExecutor(6, thread_name_prefix="reader", initializer=limit_statements)


async def read[**P, T](query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `query` returns. Raises SERVICE_UNAVAILABLE where the database does not answer within
    STATEMENT_TIMEOUT_SECONDS, the wait for a thread included."""
    job = partial(_run, query, *args, **kwargs)
    try:
        async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(_threads, job)
    except TimeoutError as error:
        raise DatabaseUnavailable(UNANSWERED) from error


def close_pool() -> None:
    """Ends the threads of psycopg's pool, where there is one. Every process does at its end: left
    to the finaliser of the pool, Python 3.13 and later wait 5 s for each (psycopg, issue 930)."""
    if connection.vendor == "postgresql":
        with contextlib.suppress(ImproperlyConfigured):  # as whoever used it was told
            connection.close_pool()  # type: ignore[attr-defined]


def _run[**P, T](query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return query(*args, **kwargs)
    except Error as error:
        connection.close()
        raise DatabaseUnavailable(UNANSWERED) from error
    finally:
        if connection.vendor == "postgresql":  # given back: the pool would run dry
            connection.close()
        if settings.DEBUG:  # Django keeps the last 9,000 queries, and drops them by request
            reset_queries()

"""Group commit: all operations that wait become one transaction, and are announced once it is
committed. While one batch commits, the next one fills. Every write of the server goes through here.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import psycopg
from django.db import Error, close_old_connections, connection
from django.db.transaction import atomic, on_commit
from psycopg.errors import InvalidParameterValue

from chat.fanout.announcements import Announcement
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.databases import (
    UNAVAILABLE,
    DatabaseUnavailable,
    StatementTimeout,
    limit_statements,
    reason,
)
from chat.store.reports import Report, committed, scheduled
from chat.store.transaction import Cursor, Operation, Transaction, driver_cursor, load_all

log = logging.getLogger("chat.writer")

MAX_BATCH: Final = 500
POLL_SECONDS: Final = 0.25  # between two looks for commits of other processes, on SQLite
INTEGRITY: Final = (sqlite3.IntegrityError, psycopg.IntegrityError)
STATUS_POLL_SECONDS: Final = 0.05
UNDECIDED_SECONDS: Final = 20.0  # idle_in_transaction_session_timeout ends it long before
DELETE_CHANNEL: Final = "DELETE FROM chat_channel WHERE id = ?"
STATUS: Final = "SELECT pg_xact_status(%s::xid8)"
STORED: Final = "SELECT count(*) FROM chat_message WHERE id = ANY(%s)"

type OnDone[Result] = Callable[[Result | ProtocolError], object]  # on the event loop
Pending = tuple[Operation[Any], OnDone[Any]]
OnOutage = Callable[[], bool]
"""Called again and again while the outcome of a COMMIT is unknown; False: give up."""


class Writer:
    """A queue, and the thread that commits what is in it.

    `announce` is called on the event loop for all that was committed, in order, before the callers
    get their results; `notice` when, on SQLite, another process has committed something.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        announce: Callable[[Announcement], None],
        notice: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._announce = announce
        self._outside = OutsideCommits(lambda: loop.call_soon_threadsafe(notice))
        self._queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()  # None ends it
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def submit[Result](self, operation: Operation[Result]) -> Result:
        """The operation's result, once it is committed and announced; cancelling does not undo it.
        Raises the ProtocolError with which it was refused: SERVICE_UNAVAILABLE where the database
        did not take it, or the writer has been stopped."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self.put(operation, partial(_resolve, future))
        return await future

    def put[Result](self, operation: Operation[Result], on_done: OnDone[Result]) -> None:
        """As `submit`, without waiting; several are committed in this order. Raises ProtocolError
        where the writer has been stopped; any other refusal goes to `on_done`."""
        if self._stopping:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "The server is shutting down.")
        self._queue.put((operation, on_done))

    async def stop(self) -> None:
        """Returns when all that was submitted before is committed and the thread has ended."""
        self._stopping = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        limit_statements()
        try:
            while (first := self._wait_for_first()) is not None:
                batch = [first, *self._take(MAX_BATCH - 1)]
                outcomes = commit([operation for operation, _ in batch], self._refuse_backlog)
                self._loop.call_soon_threadsafe(self._settle, batch, outcomes)
                if isinstance(outcomes[-1], DatabaseUnavailable):
                    self._refuse_backlog()
        finally:
            connection.close()

    def _wait_for_first(self) -> Pending | None:
        """Meanwhile looks for commits of other processes."""
        if connection.vendor != "sqlite":
            return self._queue.get()
        while True:
            self._outside.look()
            with contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=POLL_SECONDS)

    def _take(self, limit: int) -> list[Pending]:
        """What is in the queue, `limit` at most. Its end stays there."""
        taken: list[Pending] = []
        while len(taken) < limit and not self._queue.empty():
            pending = self._queue.get()
            if pending is None:
                self._queue.put(None)
                break
            taken.append(pending)
        return taken

    def _refuse_backlog(self) -> bool:
        """Refuses all that waits while the database is unavailable: each batch would wait as long
        again. Gives whether the writer goes on."""
        if backlog := self._take(sys.maxsize):
            refusals = [DatabaseUnavailable() for _ in backlog]
            self._loop.call_soon_threadsafe(self._settle, backlog, refusals)
        return not self._stopping

    def _settle(self, batch: list[Pending], outcomes: Sequence[object]) -> None:
        for (operation, on_done), outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, ProtocolError):
                for item in operation.announced:
                    self._announce(item)
            on_done(outcome)


def _resolve[Result](future: "asyncio.Future[Result]", outcome: Result | ProtocolError) -> None:
    if future.done():  # its caller is gone
        return
    if isinstance(outcome, ProtocolError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class OutsideCommits:
    """Notices commits of other connections to SQLite, by its count of them: 3 µs to read."""

    def __init__(self, notice: Callable[[], object]) -> None:
        self._notice = notice
        self._seen: tuple[object, int] | None = None
        self._due = 0.0

    def look(self) -> None:
        """Not within a transaction; at most each POLL_SECONDS, however often it is called."""
        now = time.monotonic()
        if now < self._due or connection.connection is None:
            return
        self._due = now + POLL_SECONDS
        driver = connection.connection  # a new one counts anew
        with contextlib.suppress(sqlite3.Error):  # the next write finds out, and says so
            seen = (driver, driver.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._seen:
                self._seen = seen
                self._notice()


# --- one batch ----------------------------------------------------------------------------------


def commit(
    operations: Sequence[Operation[object]], on_outage: OnOutage = lambda: True
) -> list[object]:
    """Gives for each operation its result, or the ProtocolError with which it was refused. A batch
    that fails for what is in it is retried one by one, so that a bad operation fails alone."""
    try:
        with connection.wrap_database_errors:
            transaction, outcomes = _commit_batch(operations, on_outage)
    except DatabaseUnavailable as error:
        log.error("A batch of %d was not committed: %s", len(operations), error.__cause__)
        return [DatabaseUnavailable(cause=error.__cause__) for _ in operations]
    except Exception:
        _roll_back()
        if len(operations) == 1:
            log.exception("%s was not committed", type(operations[0]).__name__)
            return [ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE)]
        outcomes = []
        for operation in operations:  # until the database is unavailable: each would wait anew
            unavailable = outcomes and isinstance(outcomes[-1], DatabaseUnavailable)
            outcomes += [DatabaseUnavailable()] if unavailable else commit([operation], on_outage)
        return outcomes
    if transaction.reports:
        committed.send_robust(sender=Report, reports=transaction.reports)
    if transaction.due is not None:
        seconds = (transaction.due - transaction.now).total_seconds()
        scheduled.send_robust(sender=Transaction, seconds=seconds)
    return outcomes


def _commit_batch(
    operations: Sequence[Operation[object]], on_outage: OnOutage
) -> tuple[Transaction, list[object]]:
    transaction = _begin(set[str]().union(*(operation.locks() for operation in operations)))
    try:
        outcomes = _apply(transaction, operations)
    except Exception as error:
        if isinstance(error, StatementTimeout):
            connection.close()
        elif reason(error):
            _roll_back()
        else:
            raise
        raise DatabaseUnavailable from error
    try:
        transaction.execute("COMMIT")
    except INTEGRITY:  # references are checked only now
        raise
    except Exception as error:
        _roll_back()
        if isinstance(error, StatementTimeout):  # to ask what became of it may take as long again
            on_outage()
        if not _took_effect(transaction, on_outage):
            raise DatabaseUnavailable from error
        log.warning("A batch of %d was committed, but not answered: %s", len(operations), error)
    return transaction, outcomes


def _begin(names: set[str], *, reconnect: bool = True) -> Transaction:
    """A transaction with these channels locked. A connection that was lost is replaced once."""
    transaction = Transaction(_cursor())
    try:
        transaction.execute("BEGIN" if transaction.postgresql else "BEGIN IMMEDIATE")
        transaction.lock(names, restart=transaction.postgresql)
        return transaction
    except Exception as error:
        _roll_back()
        if not (transaction.postgresql and reconnect) or isinstance(error, StatementTimeout):
            raise DatabaseUnavailable from error
    connection.close()
    return _begin(names, reconnect=False)


def _apply(transaction: Transaction, operations: Sequence[Operation[object]]) -> list[object]:
    load_all(transaction, operations)
    outcomes: list[object] = []
    for operation in operations:
        try:
            outcomes.append(operation.perform(transaction))
        except ProtocolError as refusal:
            outcomes.append(refusal)
    if transaction.created:
        done = zip(operations, outcomes, strict=True)
        used = [each.locks() for each, outcome in done if not isinstance(outcome, ProtocolError)]
        for name in transaction.created.difference(*used):
            transaction.execute(DELETE_CHANNEL, [transaction.heads[name].id])
    transaction.flush()
    return outcomes


def _took_effect(transaction: Transaction, on_outage: OnOutage) -> bool:
    """Whether a transaction was committed though its connection broke meanwhile (promise P1). This
    takes as long as the outage."""
    undecided_until = time.monotonic() + UNDECIDED_SECONDS
    while transaction.postgresql:
        try:
            # In progress: its server process has not noticed yet, or waits for a COMMIT that is
            # lost, until it may be idle no longer.
            status = _ask(STATUS, transaction.xid)
            if status != "in progress" or time.monotonic() > undecided_until:
                # After a crash the number of what was never written may be another one's.
                stored = [row[0] for row in transaction.rows.get("message", ())]
                return status == "committed" and _ask(STORED, stored) == len(stored)
        except InvalidParameterValue:  # its number is not given yet: a crash has undone it all
            return False
        except (psycopg.Error, DatabaseUnavailable):
            connection.close()
            if not on_outage():
                return False
            undecided_until = time.monotonic() + UNDECIDED_SECONDS
        time.sleep(STATUS_POLL_SECONDS)
    return False


def _ask(sql: str, value: object) -> object:
    return _cursor().execute(sql, [value]).fetchall()[0][0]


def _cursor() -> Cursor:
    """Where there is no connection, the pool has waited 2 s for one: the caller retries."""
    try:
        connection.ensure_connection()
    except Exception as error:
        connection.close()
        raise DatabaseUnavailable from error
    return driver_cursor()


def _roll_back() -> None:
    """Leaves the connection ready for the next batch, whatever state it is in."""
    if connection.connection is None:
        return
    try:
        if connection.vendor == "postgresql" or connection.connection.in_transaction:
            connection.connection.execute("ROLLBACK")
    except Exception:  # it is gone: a new one is made when it is needed
        log.warning("The database connection was lost; making a new one")
        connection.close()


# --- in the caller's transaction ----------------------------------------------------------------


def write[Result](
    operation: Operation[Result], announce: Callable[[Operation[Result]], object]
) -> Result:
    """The operation's result, in the thread and transaction of a view, a task or a shell.

    `announce` is called with the operation after the outermost commit. Raises the ProtocolError
    with which it was refused: SERVICE_UNAVAILABLE where the database did not take it (SQLite:
    within 5 s, while others write). The caller's transaction can go on.
    """
    try:
        with atomic():
            with connection.wrap_database_errors:
                adopted = Transaction(driver_cursor())
                adopted.lock(operation.locks())
                type(operation).load(adopted, [operation])
                result = operation.perform(adopted)
                adopted.flush()
            if adopted.reports:
                on_commit(partial(committed.send_robust, Report, reports=adopted.reports))
            on_commit(partial(announce, operation))
    except Error as error:
        if not connection.in_atomic_block:
            close_old_connections()
        raise DatabaseUnavailable from error
    return result

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
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from math import inf
from operator import itemgetter
from typing import Final, cast

import psycopg
from django.db import Error, OperationalError, close_old_connections
from psycopg.errors import InvalidParameterValue, LockNotAvailable

from chat.counts import counts
from chat.fanout.announcements import Announcement
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store import outbox
from chat.store.databases import (
    OUTCOME_UNKNOWN,
    UNAVAILABLE,
    DatabaseUnavailable,
    StatementTimeout,
    atomic,
    begin,
    connection,
    limit_statements,
    on_commit,
    reason,
)
from chat.store.quotas import Quotas
from chat.store.reports import Report, committed, scheduled
from chat.store.set_aside import LATER, Busy, Later, OnDone, Pending, SetAside, caller_of
from chat.store.transaction import Cursor, Operation, Transaction, driver_cursor, load_all

log = logging.getLogger("chat.writer")

MAX_BATCH: Final = 500
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
LOCK_SECONDS: Final = 0.05  # then it is set aside; of 20 ms a busy server takes more by itself
RESTART_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.5  # of a commit
SLOW_CHANNELS: Final = 5  # that are named
FILE_TRIES: Final = 4  # of SQLite's busy_timeout each, 5 s
LAST_TRY: Final = "PRAGMA busy_timeout = 500"  # milliseconds: the process ends within EXIT_SECONDS
POLL_SECONDS: Final = 0.01  # between two looks for commits of other processes, on SQLite
INTEGRITY: Final = (sqlite3.IntegrityError, psycopg.IntegrityError)
STATUS_POLL_SECONDS: Final = 0.05
UNDECIDED_SECONDS: Final = 20.0  # idle_in_transaction_session_timeout ends it long before
DELETE_CHANNEL: Final = "DELETE FROM chat_channel WHERE id = ?"
BUSY: Final = (
    "WITH free AS"
    " (SELECT id FROM chat_channel WHERE name = ANY(?) FOR NO KEY UPDATE SKIP LOCKED)"
    " SELECT name FROM chat_channel WHERE name = ANY(?) AND id NOT IN (SELECT id FROM free)"
)
STATUS: Final = "SELECT pg_xact_status(%s::xid8)"
STORED: Final = (
    "SELECT count(*) FROM unnest(%s::text[]) AS stored (id)"
    " WHERE EXISTS (SELECT FROM chat_message m WHERE m.id = stored.id)"
    " OR EXISTS (SELECT FROM chat_deletion d WHERE d.message_id = stored.id)"
)

OnOutage = Callable[[], bool]
"""Called again and again while the outcome of a COMMIT is unknown; False: give up."""
GoesOn = Callable[[], bool]
"""Whether to wait longer for a file that somebody else holds (SQLite)."""
Announce = Callable[[Sequence[Announcement]], object]


class Writer:
    """A queue, and the thread that commits what is in it; beside it the one that waits for rows
    that somebody else holds locked.

    `announce` is called on the event loop for all that was committed, in order, before the callers
    get their results; `notice` when, on SQLite, another process has committed something;
    `on_crash` with each exception that nothing here expects: all who wait have been refused, and
    the writer goes on after RESTART_SECONDS. Once `ending()`, nothing waits long for a file of
    SQLite that somebody else holds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        announce: Callable[[Announcement], None],
        notice: Callable[[], object] = lambda: None,
        on_crash: Callable[[Exception], object] = lambda error: None,
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._loop = loop
        self._announce = announce
        self._on_crash = on_crash
        self._ending = ending
        self._outside = OutsideCommits(lambda: self._call(notice))
        self.quotas = Quotas()  # of those for whom it is asked to write
        self._queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()  # None ends it
        self._coming: list[Pending] = []  # of this turn of the loop
        self._bytes = 0  # of what is not settled yet
        self._oldest_at = 0.0  # when the first was put of those that wait; 0: nothing waits
        self._stopping = False
        self.refused_at, self.refused_for = -inf, ""  # by the loop's clock; the database's reason
        self._set_aside = SetAside(
            lambda operations: commit(
                operations, self._set_aside.refuse_others, self._announce_taken
            ),
            find_busy,
            lambda batch, outcomes: self._call(self._settle, batch, outcomes),
            self._crashed,
        )
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def submit[Result](self, operation: Operation[Result]) -> Result:
        """The operation's result, once it is committed and announced; cancelling does not undo it.
        Raises the ProtocolError with which it was refused: SERVICE_UNAVAILABLE where the database
        did not take it, somebody else held its rows locked for too long, MAX_WAITING_BYTES wait, or
        the writer has been stopped."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self.put(operation, partial(_resolve, future))
        return await future

    def put[Result](self, operation: Operation[Result], on_done: OnDone[Result]) -> None:
        """As `submit`, without waiting; several of one caller are committed in this order. Raises
        ProtocolError where the writer has been stopped or too much waits; any other refusal goes to
        `on_done`."""
        if self._stopping:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "The server is shutting down.")
        if self._bytes > MAX_WAITING_BYTES:
            counts.refused["full"] += 1
            raise DatabaseUnavailable
        size = operation.size
        self._bytes += size
        if not self._coming:
            self._loop.call_soon(self._hand_over, time.monotonic())
        self._coming.append((operation, on_done, size))

    def _hand_over(self, put_at: float) -> None:
        """At the end of a turn of the loop: what it put, from `put_at` on, becomes one batch, and
        the thread does not compete with it for Python's lock (docs/decisions/0014)."""
        self._oldest_at = self._oldest_at or put_at
        coming, self._coming = self._coming, []
        [*map(self._queue.put, coming)]

    @property
    def waiting_bytes(self) -> int:
        """Of operations that are not committed yet."""
        return self._bytes

    async def stop(self) -> None:
        """Returns when all that was submitted before is committed or refused, and the threads have
        ended."""
        self._stopping = True
        self._hand_over(time.monotonic())
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        limit_statements(lock_seconds=LOCK_SECONDS)
        batch: list[Pending] | None = []
        try:
            while batch is not None:
                batch = self._step(batch)
        finally:
            connection.close()
            self._set_aside.stop()

    def _step(self, batch: list[Pending]) -> list[Pending] | None:
        """Commits these with what waits. Gives those that come again, None at the end."""
        try:
            if not (batch := batch or self._wait_for_first()):
                return None
            batch = batch + self._take(MAX_BATCH - 1)
            put_at, self._oldest_at = self._oldest_at, 0.0
            batch = self._set_aside.divert(batch)
            outcomes = self._commit([pending[0] for pending in batch]) if batch else []
            again: list[Pending] = []
            kinds = set(map(type, outcomes))
            if Busy in kinds:
                batch, outcomes = self._set_aside.keep(batch, outcomes)
            if Later in kinds:
                batch, outcomes, again = _without_later(batch, outcomes)
            done, batch = batch, again
            self._call(self._settle, done, outcomes, put_at)
            if outcomes and isinstance(outcomes[-1], DatabaseUnavailable):
                self._refuse_backlog()
            return again
        except Exception as error:  # the outermost edge
            self._refuse(batch + self._take(sys.maxsize), error)
            self._crashed(error)
            time.sleep(RESTART_SECONDS)
            return []

    def _commit(self, operations: Sequence[Operation[object]]) -> list[object]:
        began = time.monotonic()
        hooks = self._refuse_backlog, self._announce_taken
        outcomes = commit(operations, *hooks, goes_on=self._goes_on)
        seconds = time.monotonic() - began
        counts.commit_seconds.observe(seconds)
        counts.batch_operations.observe(len(operations))
        if seconds > SLOW_SECONDS:
            _log_slow(operations, seconds)
        return outcomes

    def _goes_on(self) -> bool:
        return not (self._stopping or self._ending())

    def _wait_for_first(self) -> list[Pending]:
        """Empty at the end. Meanwhile looks for commits of other processes."""
        sqlite = connection.vendor == "sqlite"
        while True:
            pause = self._outside.look() if sqlite else None
            with contextlib.suppress(queue.Empty):
                first = self._queue.get(timeout=pause)
                return [] if first is None else [first]

    def _take(self, limit: int) -> list[Pending]:
        """What is in the queue, `limit` at most. Its end stays there."""
        taken = [self._queue.get() for _ in range(min(limit, self._queue.qsize()))]
        if taken and taken[-1] is None:
            self._queue.put(taken.pop())
        return cast("list[Pending]", taken)

    def _refuse_backlog(self) -> bool:
        """Refuses all that waits while the database is unavailable: each batch would wait as long
        again. Gives whether the writer goes on."""
        self._refuse(self._take(sys.maxsize))
        return not self._stopping

    def _refuse(self, batch: list[Pending], cause: Exception | None = None) -> None:
        if batch:
            self._call(self._settle, batch, [DatabaseUnavailable(cause=cause) for _ in batch])

    def _crashed(self, error: Exception) -> None:
        log.error("The writer failed, and goes on", exc_info=error)
        self._call(self._on_crash, error)

    def _call[*Ts](self, callback: Callable[[*Ts], object], *arguments: *Ts) -> None:
        """On the event loop, unless that has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _announce_taken(self, announcements: Sequence[Announcement]) -> None:
        self._call(lambda: [*map(self._announce, announcements)])

    def _settle(
        self, batch: list[Pending], outcomes: Sequence[object], put_at: float = 0.0
    ) -> None:
        """What fails here fails alone: the operation is committed, and others wait. `put_at`: when
        the first of them came, by the monotonic clock; 0: that is not known."""
        announced = False
        self._bytes -= sum(map(itemgetter(2), batch))
        for (operation, on_done, _), outcome in zip(batch, outcomes, strict=True):
            try:
                try:
                    if not isinstance(outcome, ProtocolError):
                        for item in operation.announced:
                            announced = True
                            self._announce(item)
                    else:
                        self._note_refusal(outcome)
                finally:
                    on_done(outcome)
            except Exception:  # the outermost edge
                log.exception("Who waited for %s could not be told", type(operation).__name__)
        if announced and put_at:  # behind the flusher, which writes in the next turn
            self._loop.call_soon(counts.stored_seconds.since, put_at)

    def _note_refusal(self, refusal: ProtocolError) -> None:
        if refusal.code is ErrorCode.SERVICE_UNAVAILABLE:
            counts.refused[_kind(refusal)] += 1
        if why := reason(refusal):
            self.refused_at, self.refused_for = self._loop.time(), why


def _kind(refusal: ProtocolError) -> str:
    """As chat_writer_refused_total has it."""
    if isinstance(refusal, Busy):
        return "locked"
    cause = refusal.__cause__
    foreseen = cause is None or isinstance(cause, Error | psycopg.Error | sqlite3.Error | OSError)
    return "unavailable" if foreseen else "failed"


def _without_later(
    batch: list[Pending], outcomes: list[object]
) -> tuple[list[Pending], list[object], list[Pending]]:
    """What is done, its outcomes, and what comes again."""
    pairs = list(zip(batch, outcomes, strict=True))
    done = [pair for pair in pairs if pair[1] is not LATER]
    again = [pending for pending, outcome in pairs if outcome is LATER]
    return [pending for pending, _ in done], [outcome for _, outcome in done], again


def _resolve[Result](future: "asyncio.Future[Result]", outcome: Result | ProtocolError) -> None:
    if future.done():  # its caller is gone
        return
    if isinstance(outcome, ProtocolError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _log_slow(operations: Sequence[Operation[object]], seconds: float) -> None:
    channels = sorted({name for operation in operations for name in operation.locks()})
    fields = {"seconds": round(seconds, 3), "operations": len(operations)}
    log.warning("Slow commit", {**fields, "channels": channels[:SLOW_CHANNELS]})


class OutsideCommits:
    """Notices commits of other connections to SQLite, by its count of them: 3 µs to read."""

    def __init__(self, notice: Callable[[], object]) -> None:
        self._notice = notice
        self._seen: tuple[object, int] | None = None
        self._due = 0.0

    def look(self) -> float:
        """Not within a transaction; at most each POLL_SECONDS, however often it is called. Gives
        the seconds until then."""
        now = time.monotonic()
        if now < self._due:
            return self._due - now
        self._due = now + POLL_SECONDS
        if connection.connection is not None:
            self._compare()
        return POLL_SECONDS

    def _compare(self) -> None:
        driver = connection.connection  # a new one counts anew
        with contextlib.suppress(sqlite3.Error):  # the next write finds out, and says so
            seen = (driver, driver.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._seen:
                self._seen = seen
                self._notice()


# --- one batch ----------------------------------------------------------------------------------


def commit(
    operations: Sequence[Operation[object]],
    on_outage: OnOutage = lambda: True,
    announce: Announce = lambda _: None,
    most: int = outbox.MAX_TAKEN,
    goes_on: GoesOn = lambda: True,
) -> list[object]:
    """Gives for each operation its result, the ProtocolError with which it was refused, or LATER.
    Busy: somebody else holds its rows locked, or those of others in the batch, it is not known
    whose. A batch that fails for what is in it is retried one by one, so that a bad operation fails
    alone. Outbox entries go first, `most` at once; `announce` is called for what they change."""
    taken = outbox.Taken(most)
    try:
        with connection.wrap_database_errors:
            transaction, outcomes = _commit_batch(operations, on_outage, taken, goes_on)
    except Busy:
        _roll_back()
        return _commit_free(operations, on_outage, announce)
    except DatabaseUnavailable as error:
        log.error("A batch of %d was not committed: %s", len(operations), error.__cause__)
        return [DatabaseUnavailable(cause=error.__cause__) for _ in operations]
    except Exception as error:
        _roll_back()
        if len(operations) > 1:
            return _commit_each(operations, on_outage, announce)
        if most > 1 and taken.entries:
            return _take_each(len(taken.entries), operations, on_outage, announce)
        if taken.entries and outbox.park_failed(taken.entries[0], error):
            return [LATER]
        return [_refusal(operations[0], error)]
    # From here on nothing is retried: it is committed.
    if taken.entries:
        announce(taken.announced)
    _notify(transaction)
    return outcomes


def _refusal(operation: Operation[object], error: Exception) -> ProtocolError:
    # Of the database's errors the traceback says nothing more.
    about = None if isinstance(error, Error) else error
    name = type(operation).__name__
    log.error("%s was not committed: %s", name, error, exc_info=about)
    refusal = ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE)
    refusal.__cause__ = error
    return refusal


def _notify(transaction: Transaction) -> None:
    if transaction.reports:
        committed.send_robust(sender=Report, reports=transaction.reports)
    if transaction.due is not None:
        seconds = (transaction.due - transaction.now).total_seconds()
        scheduled.send_robust(sender=Transaction, seconds=seconds)


def _commit_free(
    operations: Sequence[Operation[object]], on_outage: OnOutage, announce: Announce
) -> list[object]:
    """Those whose channels nobody holds locked and which come behind no other; the others are Busy.
    Where no channel is, it may be any row: then those without channels."""
    names = set[str]().union(*(operation.locks() for operation in operations))
    found = find_busy(names) or set()
    busy: dict[int, Busy] = {}
    callers: set[str] = set()
    for at, operation in enumerate(operations):
        held = (found or names).intersection(operation.locks())
        caller = caller_of(operation)
        if held or not names or caller in callers:
            busy[at] = Busy(found.intersection(held))
            callers |= {caller} - {""}
    free = [operation for at, operation in enumerate(operations) if at not in busy]
    outcomes = iter(commit(free, on_outage, announce) if free else ())
    return [busy[at] if at in busy else next(outcomes) for at in range(len(operations))]


def find_busy(names: Collection[str]) -> set[str] | None:
    """Which of these channels others hold locked. None where that cannot be said: the whole table
    is locked, or the database is away."""
    try:
        transaction = Transaction(_cursor())
        transaction.execute(begin())
        found: list[tuple[str]] = transaction.select(BUSY, [list(names), list(names)])
    except (psycopg.Error, DatabaseUnavailable):
        return None
    finally:
        _roll_back()
    return {name for (name,) in found}


def _commit_each(
    operations: Sequence[Operation[object]], on_outage: OnOutage, announce: Announce
) -> list[object]:
    """Until the database is unavailable, each would wait anew, or one is Busy, which the others may
    come behind. What comes behind one that is LATER is so, too."""
    outcomes: list[object] = []
    late: set[int] = set()
    for at, operation in enumerate(operations):
        last = outcomes[-1] if outcomes else None
        if isinstance(last, DatabaseUnavailable):
            outcomes.append(type(last)())
        elif id(operation) in late:
            outcomes.append(LATER)
        else:
            outcomes += commit([operation], on_outage, announce)
            if outcomes[-1] is LATER:
                late |= _late(operations[at:], set(operation.locks()))
    return outcomes


def _take_each(
    entries: int, operations: Sequence[Operation[object]], on_outage: OnOutage, announce: Announce
) -> list[object]:
    """Does each of the entries alone behind which an operation has failed."""
    outcomes = [LATER]
    while entries > 0 and outcomes == [LATER]:
        outcomes = commit(operations, on_outage, announce, most=1)
        entries -= 1
    return outcomes


def _commit_batch(
    operations: Sequence[Operation[object]],
    on_outage: OnOutage,
    taken: outbox.Taken,
    goes_on: GoesOn,
) -> tuple[Transaction, list[object]]:
    names = {name for operation in operations for name in operation.locks()}
    transaction = _begin(names, goes_on)
    try:
        outcomes = _apply(transaction, operations, taken)
    except LockNotAvailable as error:
        raise Busy from error
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
    except LockNotAvailable as error:  # for these, too
        raise Busy from error
    except Exception as error:
        _roll_back()
        if isinstance(error, StatementTimeout):  # to ask what became of it may take as long again
            on_outage()
        if not _took_effect(transaction, on_outage):
            raise DatabaseUnavailable from error
        log.warning("A batch of %d was committed, but not answered: %s", len(operations), error)
    return transaction, outcomes


def _begin(names: set[str], goes_on: GoesOn, *, reconnect: bool = True) -> Transaction:
    """A transaction with these channels locked. A connection that was lost is replaced once."""
    transaction = Transaction(_cursor())
    try:
        if transaction.postgresql:
            transaction.execute(begin())
        else:
            _begin_immediate(transaction, goes_on)
        transaction.lock(names, restart=transaction.postgresql)
        return transaction
    except LockNotAvailable as error:
        raise Busy from error
    except Exception as error:
        _roll_back()
        if not (transaction.postgresql and reconnect) or isinstance(error, StatementTimeout):
            raise DatabaseUnavailable from error
    connection.close()
    return _begin(names, goes_on, reconnect=False)


def _begin_immediate(transaction: Transaction, goes_on: GoesOn) -> None:
    """Waits while somebody else holds the file: FILE_TRIES times as long as SQLite does."""
    if not goes_on():
        transaction.execute(LAST_TRY)
    for left in reversed(range(FILE_TRIES)):
        try:
            transaction.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            held = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not (held and left and goes_on()):
                raise


def _apply(
    transaction: Transaction, operations: Sequence[Operation[object]], taken: outbox.Taken
) -> list[object]:
    first = taken.take(transaction) if transaction.waiting else []
    late = _late(operations, taken.behind) if taken.behind else set()
    ready = [each for each in operations if id(each) not in late] if late else operations
    load_all(transaction, [*first, *ready])
    if first:
        taken.perform(transaction)
    outcomes: list[object] = []
    for operation in operations:
        if late and id(operation) in late:
            outcomes.append(LATER)
            continue
        try:
            outcomes.append(operation.perform(transaction))
        except ProtocolError as refusal:
            outcomes.append(refusal)
    if transaction.created:
        done = zip(operations, outcomes, strict=True)
        used = [each.locks() for each, outcome in done if not isinstance(outcome, ProtocolError)]
        for name in transaction.created.difference(transaction.waiting, *used):
            transaction.execute(DELETE_CHANNEL, [transaction.heads[name].id])
    transaction.flush()
    return outcomes


def _late(operations: Sequence[Operation[object]], behind: set[str]) -> set[int]:
    """Those that must wait, by `id()`: they are on one of these channels, or come from one caller
    behind one that is."""
    late: set[int] = set()
    callers: set[str] = set()
    for operation in operations:
        caller = caller_of(operation)
        if caller in callers or not behind.isdisjoint(operation.locks()):
            callers |= {caller} - {""}
            late.add(id(operation))
    return late


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


def write[Result](operation: Operation[Result], announce: Announce) -> Result:
    """The operation's result, in the thread and transaction of a view, a task or a shell, after
    what waits in the outbox for its channels.

    `announce` is called after the outermost commit. Raises the ProtocolError with which it was
    refused: SERVICE_UNAVAILABLE where the database did not take it (SQLite: within 5 s, while
    others write), or did not answer a COMMIT. The caller's transaction can go on.
    """
    nested, outcome = connection.in_atomic_block, LATER
    while outcome is LATER:
        taken, applied = outbox.Taken(), False
        try:
            with atomic():
                with connection.wrap_database_errors:
                    adopted = Transaction(driver_cursor())
                    adopted.lock(operation.locks())
                    [outcome] = _apply(adopted, [operation], taken)
                if adopted.reports:
                    on_commit(partial(committed.send_robust, Report, reports=adopted.reports))
                on_commit(partial(announce, [*taken.announced, *operation.announced]), robust=True)
                applied = True
        except Exception as error:
            # A COMMIT that was lost on its way looks like one whose answer was.
            unknown = applied and not nested and isinstance(error, OperationalError)
            if taken.entries and not (nested or applied):
                outcome = _take_alone(operation.locks(), announce)
                continue
            if not isinstance(error, Error):
                raise
            if not connection.in_atomic_block:
                close_old_connections()
            raise DatabaseUnavailable(OUTCOME_UNKNOWN if unknown else UNAVAILABLE) from error
    if isinstance(outcome, ProtocolError):
        raise outcome
    return cast("Result", outcome)


def _take_alone(channels: Iterable[str], announce: Announce) -> object:
    """Does what waits in the outbox for these channels, and parks what fails. Gives LATER, or the
    refusal."""
    taking = [outbox.TakeEntries(channel) for channel in channels]
    tell = lambda items: on_commit(partial(announce, items), robust=True)  # noqa: E731
    outcomes = commit(taking, lambda: False, tell)
    return next((each for each in outcomes if isinstance(each, ProtocolError)), LATER)

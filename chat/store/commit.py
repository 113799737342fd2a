"""Operations into the database: one transaction for all of them, or each alone where that fails."""

import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.db import connection
from psycopg import Cursor, Error, IntegrityError
from psycopg.errors import InvalidParameterValue

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.alarms import ring
from chat.store.listeners import tell
from chat.store.operations import Operation
from chat.store.postgres import StandsStill
from chat.store.transaction import Transaction

log = logging.getLogger("chat.writer")

INTEGRITY: Final = (sqlite3.IntegrityError, IntegrityError)
LOOK_SECONDS: Final = 0.05
UNDECIDED_SECONDS: Final = 20.0  # idle_in_transaction_session_timeout ends it long before
STATUS: Final = "SELECT pg_xact_status(%s::xid8)"
HOLDS: Final = "SELECT count(*) FROM chat_message WHERE id = ANY(%s)"
UNAVAILABLE: Final = "The database did not take this; try again."

Outcome = Any  # what `apply` gave, or the ProtocolError that its caller is told


WhileAway = Callable[[], bool]
"""Called again and again while it is waited for a database that is away; False: wait no longer."""


class NotCommitted(Exception):
    """The whole batch failed, whatever is in it: trying its parts alone would not help."""


class Away(ProtocolError):
    """What the callers of a batch are told where the database, and not what is in it, failed."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE)


def commit(operations: Sequence[Operation], while_away: WhileAway = lambda: True) -> list[Outcome]:
    """Applies and commits; the outcomes are in the order of the operations.

    A batch that fails for what is in it is tried again one by one, so that one bad operation
    fails alone. Runs in a thread that keeps its own database connection.
    """
    try:
        with connection.wrap_database_errors:
            return _commit_together(operations, while_away)
    except NotCommitted as error:
        log.error("A batch of %d was not committed: %s", len(operations), error)
        return [Away() for _ in operations]
    except Exception:
        _roll_back()
        if len(operations) > 1:
            return _commit_each(operations, while_away)
        log.exception("%s was not committed", type(operations[0]).__name__)
        return [ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE)]


def _commit_each(operations: Sequence[Operation], while_away: WhileAway) -> list[Outcome]:
    """Once the database is away the rest is not tried: each would wait for it anew."""
    outcomes: list[Outcome] = []
    for operation in operations:
        away = outcomes and isinstance(outcomes[-1], Away)
        outcomes += [Away()] if away else commit([operation], while_away)
    return outcomes


def _commit_together(operations: Sequence[Operation], while_away: WhileAway) -> list[Outcome]:
    names = set[str]().union(*(operation.locks() for operation in operations))
    transaction = _begin(names)
    try:
        outcomes = _fill(transaction, operations)
    except StandsStill as error:
        connection.close()
        raise NotCommitted(error) from error
    try:
        transaction.execute("COMMIT")
    except INTEGRITY:  # references are checked only now
        raise
    except Exception as error:
        _roll_back()
        if isinstance(error, StandsStill):  # so did all that wait; the look may take as long again
            while_away()
        if not _took_effect(transaction, while_away):
            raise NotCommitted(error) from error
        log.warning("A batch of %d was committed, but not answered: %s", len(operations), error)
    if transaction.reports:
        tell(transaction.reports)
    if transaction.due is not None:
        ring((transaction.due - transaction.now).total_seconds())
    return outcomes


def _fill(transaction: Transaction, operations: Sequence[Operation]) -> list[Outcome]:
    kinds: dict[type[Operation], list[Operation]] = defaultdict(list)
    for operation in operations:
        kinds[type(operation)].append(operation)
    for kind in sorted(kinds, key=_name):
        kind.load(transaction, kinds[kind])
    outcomes = [_apply(operation, transaction) for operation in operations]
    if any(isinstance(outcome, ProtocolError) for outcome in outcomes):
        transaction.forget(_refused_alone(operations, outcomes))
    transaction.flush()
    return outcomes


def _refused_alone(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> set[str]:
    """The channels that only operations name which were refused."""
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for operation, outcome in zip(operations, outcomes, strict=True):
        names[isinstance(outcome, ProtocolError)].update(operation.locks())
    return names[True] - names[False]


def _took_effect(transaction: Transaction, while_away: WhileAway) -> bool:
    """Whether a transaction was committed though its connection broke meanwhile (promise P1).

    Nothing true can be said while the database is away, so this takes as long as that lasts.
    """
    undecided_until = time.monotonic() + UNDECIDED_SECONDS
    while transaction.postgresql:
        try:
            # In progress: its server process has not noticed yet, or waits for a COMMIT that is
            # lost, until it may be idle no longer.
            status = _status(transaction)
            if status != "in progress" or time.monotonic() > undecided_until:
                return status == "committed" and _holds_messages(transaction)
        except InvalidParameterValue:  # its number is not given yet: a crash has undone it all
            return False
        except (Error, NotCommitted):
            connection.close()
            if not while_away():
                return False
            undecided_until = time.monotonic() + UNDECIDED_SECONDS
        time.sleep(LOOK_SECONDS)
    return False


def _status(transaction: Transaction) -> str | None:
    status: str | None = _cursor().execute(STATUS, [transaction.xid]).fetchone()[0]
    return status


def _holds_messages(transaction: Transaction) -> bool:
    """After a crash the number of what was never written may be given to another transaction."""
    stored = [row[0] for row in transaction.rows.get("message", ())]
    return bool(_cursor().execute(HOLDS, [stored]).fetchone()[0] == len(stored))


def _name(kind: type[Operation]) -> str:
    return kind.__name__


def _apply(operation: Operation, transaction: Transaction) -> Outcome:
    try:
        return operation.apply(transaction)
    except ProtocolError as refusal:
        return refusal


def _begin(names: set[str]) -> Transaction:
    """A transaction with these channels locked; a connection that has gone is made anew once."""
    postgresql = connection.vendor == "postgresql"
    for last in (not postgresql, True):
        cursor = _cursor()
        try:
            transaction = Transaction(cursor, postgresql)
            transaction.begin(names)
        except Exception as error:
            _roll_back()
            if last or isinstance(error, StandsStill):
                raise NotCommitted(error) from error
            connection.close()
        else:
            return transaction
    raise AssertionError  # unreachable: the second try returns or raises


def _cursor() -> Any:
    """Raises NotCommitted where there is no connection. The pool has waited 2 s for one by then;
    it is for who asks to try again."""
    try:
        connection.ensure_connection()
    except Exception as error:
        connection.close()
        raise NotCommitted(error) from error
    return driver_cursor()


def driver_cursor() -> Any:
    """The driver's own, of this thread's connection, which is open."""
    driver = connection.connection
    return Cursor(driver) if connection.vendor == "postgresql" else driver.cursor()


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

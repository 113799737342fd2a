"""Operations into the database: one transaction for all of them, or each alone where that fails."""

import logging
import sqlite3
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from django.db import connection
from psycopg import Cursor, IntegrityError

from chat.protocol.errors import ErrorCode, ProtocolError

from .operations import Operation
from .receivers import tell
from .transaction import Transaction

log = logging.getLogger("chat.writer")

INTEGRITY: Final = (sqlite3.IntegrityError, IntegrityError)
STATUS_TRIES: Final = 40  # in all 2 s
UNAVAILABLE: Final = "The database did not take this; try again."

Outcome = Any  # what `apply` gave, or the ProtocolError that its caller is told


class NotCommitted(Exception):
    """The whole batch failed, whatever is in it: trying its parts alone would not help."""


def commit(operations: Sequence[Operation]) -> list[Outcome]:
    """Applies and commits; the outcomes are in the order of the operations.

    A batch that fails for what is in it is tried again one by one, so that one bad operation
    fails alone. Runs in a thread that keeps its own database connection.
    """
    try:
        with connection.wrap_database_errors:
            return _commit_together(operations)
    except NotCommitted as error:
        log.error("A batch of %d was not committed: %s", len(operations), error)
    except Exception:
        _roll_back()
        if len(operations) > 1:
            return [outcome for operation in operations for outcome in commit([operation])]
        log.exception("%s was not committed", type(operations[0]).__name__)
    return [ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE) for _ in operations]


def _commit_together(operations: Sequence[Operation]) -> list[Outcome]:
    names = {name for operation in operations for name in operation.locks()}
    transaction = _begin(names)
    for _, group in groupby(sorted(operations, key=_kind), key=_kind):
        alike = list(group)
        type(alike[0]).load(transaction, alike)
    outcomes = [_apply(operation, transaction) for operation in operations]
    transaction.forget(_refused_alone(operations, outcomes))
    transaction.flush()
    try:
        transaction.execute("COMMIT")
    except INTEGRITY:  # references are checked only now
        raise
    except Exception as error:
        _roll_back()
        if not _took_effect(transaction):
            raise NotCommitted(error) from error
        log.warning("A batch of %d was committed, but not answered: %s", len(operations), error)
    if transaction.reports:
        tell(transaction.reports)
    return outcomes


def _refused_alone(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> set[str]:
    """The channels that only operations name which were refused."""
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for operation, outcome in zip(operations, outcomes, strict=True):
        names[isinstance(outcome, ProtocolError)].update(operation.locks())
    return names[True] - names[False]


def _took_effect(transaction: Transaction) -> bool:
    """Whether a transaction was committed though its connection broke meanwhile (promise P1)."""
    if not transaction.postgresql:
        return False
    cursor = _cursor()
    for _ in range(STATUS_TRIES):
        cursor.execute("SELECT pg_xact_status(%s::xid8), pg_sleep(0.05)", [transaction.xid])
        status = cursor.fetchone()[0]
        if status != "in progress":  # its server process may not have noticed yet
            break
    return bool(status == "committed")


def _kind(operation: Operation) -> str:
    return type(operation).__name__


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
            if last:
                raise NotCommitted(error) from error
            connection.close()
        else:
            return transaction
    raise AssertionError  # unreachable: the second try returns or raises


def _cursor() -> Any:
    """Raises NotCommitted where there is no connection. The pool has waited 2 s for one by then:
    trying again would keep a handshake longer than the 5 s of a client's patience (protocol.md
    section 6)."""
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
    try:
        if connection.vendor == "postgresql" or connection.connection.in_transaction:
            connection.connection.execute("ROLLBACK")
    except Exception:  # it is gone: a new one is made when it is needed
        log.warning("The database connection was lost; making a new one")
        connection.close()

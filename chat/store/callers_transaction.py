"""A write in the transaction of whoever calls: of a view, a task, a shell, in any process.

The writer's own operations, on the caller's connection: what is rolled back is neither stored nor
announced. Runs in the caller's thread.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import Error, connection, transaction

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.commit import UNAVAILABLE, driver_cursor
from chat.store.listeners import tell
from chat.store.operations import Operation
from chat.store.reports import Report
from chat.store.transaction import Transaction


def write(operation: Operation, announce: Callable[[Operation], object]) -> Any:
    """What the operation gives. `announce` is called with it once the outermost transaction is
    committed; where the caller has none open, before this returns.

    Raises the ProtocolError with which it was refused: SERVICE_UNAVAILABLE where the database did
    not take it (SQLite: within 5 s, while others write). The caller's transaction can go on.
    """
    try:
        with transaction.atomic():
            outcome, reports = _apply(operation)
            if reports:
                transaction.on_commit(partial(tell, reports))
            transaction.on_commit(partial(announce, operation))
    except Error as error:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE) from error
    return outcome


def _apply(operation: Operation) -> tuple[Any, Sequence[Report]]:
    with connection.wrap_database_errors:
        joined = Transaction(driver_cursor(), connection.vendor == "postgresql")
        joined.join(operation.locks())
        type(operation).load(joined, [operation])
        outcome = operation.apply(joined)
        joined.flush()
    return outcome, joined.reports

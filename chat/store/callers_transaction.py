"""A write in the caller's transaction: of a view, a task or a shell, in any process.

The writer's own operations, on the caller's connection and in its thread: what is rolled back is
neither stored nor announced.
"""

from collections.abc import Callable
from functools import partial

from django.db import Error, close_old_connections, connection, transaction

from chat.store.databases import DatabaseUnavailable
from chat.store.listeners import notify
from chat.store.operations import Operation
from chat.store.transaction import Transaction, driver_cursor


def write[Result](
    operation: Operation[Result], announce: Callable[[Operation[Result]], object]
) -> Result:
    """The operation's result. `announce` is called with it once the outermost transaction is
    committed; where the caller has none open, before this returns.

    Raises the ProtocolError with which it was refused: SERVICE_UNAVAILABLE where the database did
    not take it (SQLite: within 5 s, while others write). The caller's transaction can go on.
    """
    try:
        with transaction.atomic():
            with connection.wrap_database_errors:
                adopted = Transaction(driver_cursor(), connection.vendor == "postgresql")
                adopted.lock(operation.locks())
                type(operation).load(adopted, [operation])
                result = operation.perform(adopted)
                adopted.flush()
            if adopted.reports:
                transaction.on_commit(partial(notify, adopted.reports))
            transaction.on_commit(partial(announce, operation))
    except Error as error:
        if not connection.in_atomic_block:
            close_old_connections()
        raise DatabaseUnavailable from error
    return result

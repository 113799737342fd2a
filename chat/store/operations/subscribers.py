"""What the application's backend is told of connections and subscriptions (protocol.md section 16).

Only where it listens: else nothing here asks the database anything.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, json

from chat.store import reports
from chat.store.reports import Report
from chat.store.transaction import Row, Transaction

COUNTS: Final = (
    "SELECT channel_id, count(*) FROM chat_subscription"
    " WHERE channel_id IN ({}) AND counted GROUP BY channel_id"
)
NAME: Final = (
    "SELECT name, (SELECT count(*) FROM chat_subscription s WHERE s.channel_id = c.id AND counted)"
    " FROM chat_channel c WHERE id = ?"
)
END_SUBSCRIPTIONS: Final = (
    "DELETE FROM chat_subscription WHERE connection_id = ? RETURNING channel_id, uid, umd, counted"
)
END_SUBSCRIPTION: Final = (
    "DELETE FROM chat_subscription WHERE connection_id = ? AND channel_id = ?"
    " RETURNING channel_id, uid, umd, counted"
)
COLUMNS: Final = "id, connected_at, claims, address, uid, umd, user_agent"
UMD: Final = 5  # its place among them
END_CONNECTION: Final = f"DELETE FROM chat_connection WHERE id = ? RETURNING {COLUMNS}"  # noqa: S608
CONNECTION: Final = f"SELECT {COLUMNS} FROM chat_connection WHERE id = ?"  # noqa: S608


class KeepAlive(Struct, gc=False, rename="camel"):
    """What is told of a connect token's claims."""

    keep_alive: bool | None = None


_keep_alive = json.Decoder(KeepAlive)


# --- subscriptions ------------------------------------------------------------------------------


def load_counts(transaction: Transaction, channels: Iterable[str]) -> None:
    """How many subscribe to each of these, which must be locked, before anything is applied."""
    if not transaction.reporting:
        return
    heads = {transaction.heads[name].id: name for name in channels}
    if not heads:
        return
    marks = ",".join("?" * len(heads))
    transaction.counts.update(dict.fromkeys(heads.values(), 0))
    for id, count in transaction.select(COUNTS.format(marks), list(heads)):
        transaction.counts[heads[id]] = count


def report_begun(
    transaction: Transaction,
    channel: str,
    connection_id: str,
    uid: str | None,
    umd: str,
    *,
    counted: bool,
) -> None:
    if not transaction.reporting:
        return
    transaction.report(reports.subscription, "subscribed", channel, connection_id, uid, umd)
    if counted:
        transaction.counts[channel] += 1
        transaction.report(reports.channel_updated, channel, transaction.counts[channel])


def end_subscription(transaction: Transaction, connection_id: str, channel: str) -> None:
    head = transaction.heads[channel]
    _report_ended(
        transaction,
        connection_id,
        transaction.select(END_SUBSCRIPTION, [connection_id, head.id]),
    )


def end_subscriptions(transaction: Transaction, connection_id: str) -> None:
    """All of a connection's, those that begin in this batch too."""
    begun = transaction.rows.get("subscription", [])
    own = [row for row in begun if row[0] == connection_id]
    begun[:] = [row for row in begun if row[0] != connection_id]
    ended = transaction.select(END_SUBSCRIPTIONS, [connection_id])
    ended += [(channel, uid, umd, counted) for _, channel, _, uid, umd, counted, *_ in own]
    _report_ended(transaction, connection_id, ended)


def _report_ended(transaction: Transaction, connection_id: str, ended: Iterable[Row]) -> None:
    names = {head.id: name for name, head in transaction.heads.items()}
    for id, uid, umd, counted in ended:
        channel = names.get(id) or _look_up(transaction, id, counted=counted)
        transaction.report(reports.subscription, "unsubscribed", channel, connection_id, uid, umd)
        if counted:
            transaction.counts[channel] -= 1
            transaction.report(reports.channel_updated, channel, transaction.counts[channel])


def _look_up(transaction: Transaction, channel_id: int, *, counted: bool) -> str:
    """The name of a channel that nobody knew the connection to be in, and so did not lock."""
    [[name, left]] = transaction.select(NAME, [channel_id])
    transaction.counts[name] = left + counted
    return str(name)


# --- connections --------------------------------------------------------------------------------


def connected(
    id: str,
    claims: str,
    address: str,
    uid: str | None,
    umd: str,
    user_agent: str,
    at: datetime,
) -> Report:
    return _connection("connected", (id, at, claims, address, uid, umd, user_agent))


def end_connection(transaction: Transaction, id: str) -> None:
    """Also one that begins in this batch."""
    begun = transaction.rows.get("connection", [])
    own = [
        (id, transaction.now, claims, address, uid, umd, agent)
        for own_id, _, _, claims, uid, umd, address, agent, *_ in begun
        if own_id == id
    ]
    begun[:] = [row for row in begun if row[0] != id]
    for row in [*transaction.select(END_CONNECTION, [id]), *own]:
        transaction.report(_connection, "disconnected", _read(transaction, row), transaction.now)


def connection_row(transaction: Transaction, id: str) -> Row:
    """As it is in the database; () where nobody listens, or there is no such connection."""
    rows = transaction.select(CONNECTION, [id]) if transaction.reporting else []
    return _read(transaction, rows[0]) if rows else ()


def connection_updated(before: Row, umd: str) -> Report:
    *first, _, agent = before
    return _connection("connectionUpdated", (*first, umd, agent))


def _read(transaction: Transaction, row: Row) -> Row:
    id, connected_at, *rest = row
    return id, transaction.time(connected_at), *rest


def _connection(type: str, row: Row, ended_at: datetime | None = None) -> Report:
    id, connected_at, claims, address, uid, umd, user_agent = row
    keeps: Any = _keep_alive.decode(claims).keep_alive
    return reports.connection(
        *(type, id, connected_at, ended_at),
        keep_alive=bool(keeps),
        address=address,
        uid=uid,
        umd=umd,
        user_agent=user_agent,
    )

"""Who calls the client HTTP API: a connection, by its id and its secret.

protocol.md section 14: they work in every process, so they are looked up in the database.
"""

import hmac
from functools import lru_cache

from chat.actions.connections import secret_hash
from chat.delivery.reader import read
from chat.models import Connection, Subscription
from chat.node import Node
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from tokens.claims import Claims, parse_claims
from tokens.names import is_storable

NO_HASH = "0" * 64  # compared with where there is no such connection: it takes as long


async def session_of(node: Node, connection_id: str, secret: str) -> Session:
    """The session of an open connection, whichever process holds it.

    Raises ProtocolError: INVALID_CONNECTION (wrong id or secret, or it has ended),
    SERVICE_UNAVAILABLE.
    """
    session, holder = await read(_session_of, connection_id, secret, node.id)
    if holder == node.id and connection_id not in node.connections:
        raise _invalid_connection()  # it has ended, and its row is about to go
    return session


def _session_of(connection_id: str, secret: str, asker: str) -> tuple[Session, str]:
    """The session, and the id of the node that holds the connection."""
    known_form = is_storable(connection_id)  # PostgreSQL cannot even be asked for the others
    live = Connection.objects.live(asker=asker)
    row = live.filter(id=connection_id).first() if known_form else None
    known = row.secret_hash if row else NO_HASH
    if not hmac.compare_digest(known, secret_hash(secret)) or row is None:
        raise _invalid_connection()
    session = Session(row.id, _claims(row.claims, "connect"))
    session.set_umd(row.umd)
    for subscription in row.subscriptions.select_related("channel"):
        _resume(session, subscription)
    return session, row.node_id


def _invalid_connection() -> ProtocolError:
    return ProtocolError(
        ErrorCode.INVALID_CONNECTION,
        "connectionId and connectionSecret are not those of an open connection.",
    )


def _resume(session: Session, row: Subscription) -> None:
    claims = _claims(row.claims, "subscribe") if row.claims else None
    session.resume(row.channel.name, claims, row.head_id, row.umd)


@lru_cache(maxsize=256)
def _claims(payload: str, scope: str) -> Claims:
    """Claims that were accepted before; the same text gives the same object."""
    return parse_claims(payload.encode(), scope=scope)

"""Who calls the HTTP API: a connection, by its id and its secret, or the application's own backend,
by one of two keys.

A connection's work in every process (protocol.md section 14): they are looked up in the database,
those of this process once.
"""

import hmac
from collections.abc import Iterable
from functools import lru_cache, wraps

from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from chat.actions.connections import secret_hash
from chat.http.operation import View
from chat.models import Connection, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node
from chat.store.reads import read
from tokens.claims import Claims, parse_claims
from tokens.conf import settings
from tokens.names import is_storable

NO_HASH = "0" * 64  # compared with where there is no such connection: it takes as long


# --- a connection -------------------------------------------------------------------------------


async def session_of(
    node: Node, connection_id: str, secret: str, channel: str | None = None
) -> Session:
    """The session of an open connection, whichever process holds it, with its subscriptions: those
    that `channel`, a name or an alias, may mean, or all of them.

    Raises ProtocolError: INVALID_CONNECTION (wrong id or secret, or it has ended),
    SERVICE_UNAVAILABLE.
    """
    held = node.connections.get(connection_id)
    if held is not None and held.secret_hash:
        return _held(held, secret_hash(secret))
    session, holder = await read(_session_of, connection_id, secret, node.id, channel)
    if holder != node.id:
        return session
    held = node.connections.get(connection_id)
    if held is None:
        raise _invalid_connection()  # it has ended, though its row has yet to go
    held.secret_hash = hashed = secret_hash(secret)
    return _held(held, hashed)


def _held(connection: LiveConnection, hashed: str) -> Session:
    """The session of a connection of this process, as it is."""
    same = hmac.compare_digest(connection.secret_hash, hashed)
    if not same or connection.send_queue.closing:
        raise _invalid_connection()
    return connection.session


def _session_of(
    connection_id: str, secret: str, asker: str, channel: str | None
) -> tuple[Session, str]:
    """The session, and the id of the node that holds the connection."""
    known_form = is_storable(connection_id)  # PostgreSQL cannot even be asked for the others
    live = Connection.objects.live(asker=asker)
    row = live.filter(id=connection_id).first() if known_form else None
    known = row.secret_hash if row else NO_HASH
    if not hmac.compare_digest(known, secret_hash(secret)) or row is None:
        raise _invalid_connection()
    session = Session(row.id, _claims(row.claims, "connect"))
    session.set_umd(row.umd)
    for subscription in _subscriptions(row, session, channel):
        _resume(session, subscription)
    return session, row.node_id


def _subscriptions(
    row: Connection, session: Session, channel: str | None
) -> Iterable[Subscription]:
    """A connection may have thousands. The alias of a subscribe token is in its claims alone."""
    found = row.subscriptions.select_related("channel")
    if channel is None:
        return found
    names = {channel, session.grants.real_name(channel)}
    meant = Q(channel__name__in=[name for name in names if is_storable(name)])
    return found.filter(meant | ~Q(claims=""))


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


# --- the application's backend ------------------------------------------------------------------


def needs_api_key(view: View) -> View:
    """Raises INVALID_API_KEY unless the caller sends `Authorization: Bearer KEY`."""

    @wraps(view)
    async def checked(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_api_key(key.strip().encode("latin-1")):
            raise ProtocolError(
                ErrorCode.INVALID_API_KEY, "The header Authorization must be: Bearer, an API key."
            )
        return await view(request, *args, **kwargs)

    return checked


def is_api_key(key: bytes) -> bool:
    """Whether it is either of the two configured ones; takes as long for any key of its length."""
    known = (settings.API_SECRET_KEY_1, settings.API_SECRET_KEY_2)
    same = [hmac.compare_digest(key, each.encode()) for each in known if each]
    return any(same)

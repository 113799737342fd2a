"""Who calls the HTTP API: the application's backend by a key, or a connection by its id and secret,
which are good in every process (protocol.md section 14).
"""

import hmac
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from django.db.models import Q
from django.http import HttpRequest

from chat.actions.connections import secret_hash
from chat.models import Connection, Subscription
from chat.protocol.addresses import network
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.frames import Rate
from chat.protocol.publication import Source
from chat.protocol.restrictions import IsBanned, nobody_is_banned
from chat.protocol.session import Session
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node
from chat.store.operations.audit import Actor
from chat.store.reads import read
from tokens.claims import TokenError
from tokens.conf import settings
from tokens.names import is_storable
from tokens.signing import recall

GUESSES: Final = 60  # of an API key, within GUESSES_SECONDS, from an address, in each process
GUESSES_SECONDS: Final = 60
MAX_ADDRESSES: Final = 4096  # whose guesses are remembered
NO_HASH: Final = "0" * 64  # where there is no such connection: the comparison takes as long


async def session_of(node: Node, connection_id: str, secret: str, channel: str | None) -> Session:
    """The session of an open connection: one of this node, or of another; then with those
    subscriptions that `channel`, a name or an alias, may mean; without it, all.

    Raises ProtocolError: INVALID_CONNECTION (wrong id or secret, or it has ended),
    SERVICE_UNAVAILABLE.
    """
    own = node.connections.get(connection_id)
    if own is not None and own.secret_hash:
        return _own_session(own, secret_hash(secret))
    restrictions = node.restrictions
    session, holder = await read(
        read_session, connection_id, secret, node.id, channel, restrictions.is_banned
    )
    if holder != node.id:
        if restrictions.excludes(session, session.source.address):
            raise _invalid_connection()  # the process that holds it closes it
        return session
    own = node.connections.get(connection_id)
    if own is None:
        raise _invalid_connection()  # it has ended; its row goes a moment later
    own.secret_hash = secret_hash(secret)
    return _own_session(own, own.secret_hash)


def _own_session(connection: LiveConnection, hashed: str) -> Session:
    if not hmac.compare_digest(connection.secret_hash, hashed) or connection.send_queue.closing:
        raise _invalid_connection()
    return connection.session


def read_session(
    connection_id: str,
    secret: str,
    node_id: str,
    channel: str | None,
    is_banned: IsBanned = nobody_is_banned,
) -> tuple[Session, str]:
    """The session as the database has it, and the id of the node that holds the connection."""
    live = Connection.objects.live(asker=node_id)
    storable = is_storable(connection_id)  # PostgreSQL refuses a query with other text
    row = live.filter(id=connection_id).first() if storable else None
    known = row.secret_hash if row else NO_HASH
    if not hmac.compare_digest(known, secret_hash(secret)) or row is None:
        raise _invalid_connection()
    try:
        session = Session(row.id, recall(row.claims, "connect"), is_banned)
        session.source = Source("client.http", row.id, row.address)
        session.set_umd(row.umd)
        for each in _subscriptions(row, session, channel):
            if is_banned(each.uid, each.channel.name):
                continue  # the process that holds it ends it
            claims = recall(each.claims, "subscribe") if each.claims else None
            session.resume(each.channel.name, claims, each.head_id, each.umd)
            session.follow(each.channel.name, each.channel.number)  # its own are not known here
    except TokenError:  # an older process accepted what is refused by now
        raise _invalid_connection() from None
    return session, row.node_id


def _subscriptions(
    row: Connection, session: Session, channel: str | None
) -> Iterable[Subscription]:
    """A connection may have thousands. The alias of a subscribe token is in its claims alone."""
    found = row.subscriptions.filter(ended=False).select_related("channel")
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


def require_api_key(request: HttpRequest) -> Actor:
    """Who calls. Raises INVALID_API_KEY, after many wrong keys RATE_LIMITED, unless the header says
    `Authorization: Bearer KEY`."""
    number = api_key(key := bearer(request))
    if number is None:
        raise refused_key(request, key, "The header Authorization must be: Bearer, an API key.")
    return Actor(f"api key {number}", request.META.get("REMOTE_ADDR") or "")


def bearer(request: HttpRequest) -> bytes:
    """The key of `Authorization: Bearer KEY`; empty where there is none."""
    scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return key.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def refused_key(request: HttpRequest, key: bytes, needed: str) -> ProtocolError:
    """INVALID_API_KEY, with the sentence `needed`. Who tries many keys is told to wait; a right one
    from the same address is answered all the same: an application's backend may share it."""
    place = network(request.META.get("REMOTE_ADDR") or "")
    if key and not _guesses(place).allows(time.monotonic()):
        return ProtocolError(ErrorCode.RATE_LIMITED, "Too many wrong API keys from this address.")
    return ProtocolError(ErrorCode.INVALID_API_KEY, needed)


@lru_cache(MAX_ADDRESSES)
def _guesses(network: str) -> Rate:
    return Rate(GUESSES / GUESSES_SECONDS, GUESSES_SECONDS)


def api_key(key: bytes) -> int | None:
    """Which of the two configured ones it is, 1 or 2; as slow for any key of its length."""
    known = enumerate((settings.API_SECRET_KEY_1, settings.API_SECRET_KEY_2), 1)
    found = [n for n, each in known if hmac.compare_digest(key, each.encode()) and each]
    return found[0] if found else None

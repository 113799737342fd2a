"""A connection begins and ends (protocol.md section 6)."""

import asyncio
import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.conf import settings

from chat.protocol.errors import CloseCode, ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.protocol.sources import Source
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node
from chat.store.listeners import listening
from chat.store.operations import OpenConnection, SingleUse
from tokens.claims import Claims
from tokens.models import UsedToken
from tokens.signing import verify

ABUSE: Final = frozenset({CloseCode.TOO_SLOW, CloseCode.TOO_FAST})
ID_BYTES: Final = 11
SECRET_BYTES: Final = 24  # 192 bits; the contract asks for 120
MAX_ADDRESS_LENGTH: Final = 64
MAX_USER_AGENT_LENGTH: Final = 256
LAST_SECOND: Final = 253_402_300_799  # of the year 9999, where the databases' times end


@dataclass(slots=True, frozen=True)
class Opened:
    session: Session
    secret: str
    expires_at: datetime


async def open_connection(node: Node, token: str, address: str, user_agent: str) -> Opened:
    """Verifies a connect token and registers its connection.

    Raises TokenError where the token is refused, ProtocolError where it was used before, where
    its bearer must wait (RATE_LIMITED), or where the database did not take the connection
    (SERVICE_UNAVAILABLE).
    """
    claims = verify(token, scope="connect", now=time.time())
    if node.admission.is_barred((address, claims.uid)):
        raise ProtocolError(ErrorCode.RATE_LIMITED, "Too soon after too much; try again later.")
    session = Session(urlsafe_b64encode(secrets.token_bytes(ID_BYTES)).decode(), claims)
    address, user_agent = address[:MAX_ADDRESS_LENGTH], user_agent[:MAX_USER_AGENT_LENGTH]
    session.source = Source("client.websocket", session.connection_id, address, user_agent)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    operation = OpenConnection(
        id=session.connection_id,
        node_id=node.id,
        secret_hash=secret_hash(secret),
        claims=claims.payload,
        uid=claims.uid,
        umd=claims.umd,
        address=address,
        user_agent=user_agent,
        max_seconds=settings.CONNECTION_MAX_SECONDS,
        single_use=single_use(claims),
    )
    try:
        expires_at = await node.writer.submit(operation)
    except asyncio.CancelledError:  # the client left; the row may be there by now
        node.reaper.close_later({session.connection_id: ()})
        raise
    return Opened(session, secret, expires_at)


async def close_connection(node: Node, connection: LiveConnection) -> None:
    """Ends its subscriptions here and in the database, whatever state it was in."""
    node.connections.remove(connection)
    if connection.send_queue.close_code in ABUSE:
        node.admission.bar((connection.address, connection.session.uid))
    channels = connection.channels() if listening() else connection.presence()
    for channel in connection.session.subscriptions:
        node.hub.leave(channel, connection.id)
    if not node.draining:  # else all rows go when the node stops
        await node.reaper.close(connection.id, channels)


def secret_hash(secret: str) -> str:
    """What is kept of a connection's secret: it has entropy enough for a plain SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def single_use(claims: Claims) -> SingleUse | None:
    if not claims.single_use or claims.jti is None:
        return None
    until = min(claims.exp + settings.TOKEN_LEEWAY_SECONDS, LAST_SECOND)
    return SingleUse(UsedToken.digest(claims.jti), datetime.fromtimestamp(until, UTC))

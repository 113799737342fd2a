"""A connection begins and ends (protocol.md section 6)."""

import hashlib
import logging
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

from chat.actions import live
from chat.conf import settings
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Source
from chat.protocol.restrictions import LAST_SECOND, Bearer
from chat.protocol.session import Session
from chat.runtime.connection import Connections, seconds_left
from chat.runtime.restrictions import Restrictions
from chat.store.operations.connections import OpenConnection, SingleUse
from chat.store.operations.limits import OverQuota
from chat.store.operations.restrictions import Admission
from chat.store.usage import Quota
from chat.store.writer import Writer
from tokens.claims import Claims, TokenError
from tokens.conf import settings as token_settings
from tokens.models import UsedToken
from tokens.signing import verify

log = logging.getLogger("chat.tokens")

ID_BYTES: Final = 11
SECRET_BYTES: Final = 24  # 192 bits; the contract asks for 120
MAX_ADDRESS_LENGTH: Final = 64
MAX_USER_AGENT_LENGTH: Final = 256
LATER_TOKENS: Final = {
    "subscribe": (ErrorCode.INVALID_SUBSCRIBE_TOKEN, "data.token"),
    "umd": (ErrorCode.INVALID_UMD_TOKEN, "The umd token"),
}


@dataclass(slots=True, frozen=True)
class Opened:
    session: Session
    secret: str
    seconds: float
    """How long it lasts at most."""
    expires_at: datetime


async def open_connection(
    token: str,
    address: str,
    user_agent: str,
    node_id: str,
    connections: Connections,
    writer: Writer,
    restrictions: Restrictions,
) -> Opened:
    """Verifies a connect token, or a ticket of the live page, and registers its connection.

    Raises TokenError where the token is refused, ProtocolError where it was used before or is
    revoked, where its bearer is banned (Banned), must wait or has too many connections
    (RATE_LIMITED), or where the database did not take the connection (SERVICE_UNAVAILABLE).
    """
    claims, longest = _claims_of(token)
    bearer = Bearer((claims,), claims.uid, ErrorCode.INVALID_CONNECTION, address)
    bearer.check(restrictions.rules, restrictions.now)
    if connections.is_barred(address, claims.uid):
        raise ProtocolError(ErrorCode.RATE_LIMITED, "Too soon after too much; try again later.")
    id = urlsafe_b64encode(secrets.token_bytes(ID_BYTES)).decode()
    session = Session(id, claims, restrictions.is_banned)
    session.source = Source("client.websocket", id, address, user_agent[:MAX_USER_AGENT_LENGTH])
    secret = secrets.token_urlsafe(SECRET_BYTES)
    seconds = min(settings.CONNECTION_MAX_SECONDS, seconds_left(claims), longest)
    operation = OpenConnection(
        *(id, node_id, secret_hash(secret), claims.payload, claims.uid, claims.umd, address),
        user_agent=session.source.user_agent,
        max_seconds=seconds,
        single_use=single_use(claims),
        limit=settings.CONNECTIONS_PER_ADDRESS,
        admission=Admission(bearer, restrictions.rules),
        quota=writer.quotas.limit(claims.uid, Quota.CONNECTIONS),
    )
    try:
        return Opened(session, secret, seconds, await writer.submit(operation))
    except ProtocolError as error:
        if error.code is ErrorCode.RATE_LIMITED and not isinstance(error, OverQuota):
            connections.note_full(address)
        raise


def _claims_of(token: str) -> tuple[Claims, float]:
    """And how many seconds its connection may last because of what it is."""
    now = time.time()
    if live.is_ticket(token):
        return live.claims_of(token, now), live.LOOK_SECONDS
    return verify(token, scope="connect", now=now), inf


def verified(token: str, scope: str) -> Claims:
    """The claims of a token that a connection sends later; raises INVALID_SUBSCRIBE_TOKEN or
    INVALID_UMD_TOKEN."""
    try:
        return verify(token, scope=scope, now=time.time())
    except TokenError as error:
        log.warning("A %s token was refused: %s", scope, error)
        code, name = LATER_TOKENS[scope]
        raise ProtocolError(code, f"{name} was refused: {error}.") from None


def secret_hash(secret: str) -> str:
    """What is kept of a connection's secret: it has entropy enough for a plain SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def single_use(claims: Claims) -> SingleUse | None:
    if not claims.single_use or claims.jti is None:
        return None
    until = min(claims.exp + token_settings.TOKEN_LEEWAY_SECONDS, LAST_SECOND)
    return SingleUse(UsedToken.digest(claims.jti), datetime.fromtimestamp(until, UTC))

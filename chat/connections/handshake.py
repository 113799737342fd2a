"""What a WebSocket handshake brings, and how it is refused (protocol.md section 6)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs

from msgspec import json

from chat.actions.connections import MAX_ADDRESS_LENGTH, Opened, open_connection
from chat.conf import settings
from chat.protocol.addresses import is_among
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.restrictions import Banned
from chat.runtime import node as nodes
from chat.runtime.connection import max_connections
from chat.store.operations.connections import TOO_MANY
from tokens.claims import TokenError

log = logging.getLogger("chat.connections.handshake")

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
OPENING_SECONDS: Final = 4  # for the database to answer: clients give up after 5 s
STATUS = {ErrorCode.SERVICE_UNAVAILABLE: 503, ErrorCode.RATE_LIMITED: 429}  # others: 401
PROTOCOL: Final = "hotsock.v1"
BEARER: Final = "bearer."  # before a token among the subprotocols
CALLS_SHARE: Final = 16  # one of so many sockets is left to those who call over HTTP
RETRY_SECONDS: Final = {503: 10, 429: 1}


@dataclass(eq=False)
class Refusal(Exception):
    """The handshake is refused, for its token if nothing else is stated, with this HTTP status; the
    WebSocket is never accepted."""

    status: int = 401
    code: ErrorCode = ErrorCode.INVALID_CONNECTION
    message: str = "The connect token was refused; the server's log says why."

    def response(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and a JSON body."""
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        if self.status in RETRY_SECONDS:
            headers.append((b"retry-after", b"%d" % RETRY_SECONDS[self.status]))
        return headers, json.encode({"error": {"code": self.code, "message": self.message}})


FULL: Final = Refusal(
    503,
    ErrorCode.SERVICE_UNAVAILABLE,
    "The server holds as many connections as it can; try again later.",
)


async def open(scope: Scope) -> tuple[nodes.Node, Opened]:
    """The node and the connection that this handshake opens, committed; raises Refusal."""
    address = address_of(scope)
    try:
        async with asyncio.timeout(OPENING_SECONDS):
            node = await nodes.current()
            if node.restrictions.is_banned_address(address):
                raise Banned
            _check_room(node, scope, address)
            with node.connections.arriving(address):
                async with node.connections.opening:
                    return node, await _opened(node, scope, address)
    except Refusal as error:
        refusal, why = error, error.message
    except TimeoutError:
        why = "The database does not answer; try again."
        refusal = Refusal(503, ErrorCode.SERVICE_UNAVAILABLE, why)
    except TokenError as error:
        refusal, why = Refusal(), f"The connect token was refused: {error}"
    except ProtocolError as error:
        why, status = error.in_full, 403 if isinstance(error, Banned) else STATUS.get(error.code)
        refusal = Refusal(status, error.code, error.message) if status else Refusal()
    log.warning("Connection refused", {"address": address, "status": refusal.status, "why": why})
    raise refusal


async def _opened(node: nodes.Node, scope: Scope, address: str) -> Opened:
    """Who is given up on may be let in all the same a moment later: that row is removed then."""
    token = _token_of(scope)
    agent = _header(scope, b"user-agent")
    opening = asyncio.create_task(
        open_connection(
            *(token, address, agent, node.id),
            *(node.connections, node.writer, node.restrictions),
        )
    )

    def remove(done: asyncio.Task[Opened]) -> None:
        if not done.cancelled() and done.exception() is None:
            node.reaper.backlog[done.result().session.connection_id] = ()

    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(remove)
        raise


def _token_of(scope: Scope) -> str:
    """From the query, the subprotocols or `Authorization` (protocol.md section 19); "" where there
    is none. Raises TokenError where there are two."""
    query = parse_qs(str(scope.get("query_string", b""), "latin-1"))
    tokens = {*query.get("token", ())}
    tokens.update(name[len(BEARER) :] for name in _offered(scope) if name.startswith(BEARER))
    for value in _header_values(scope, b"authorization"):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "bearer":  # ignores case: RFC 9110 section 11.1
            tokens.add(credentials.strip())
    if len(tokens) > 1:
        raise TokenError("token", "must be one: query, subprotocols and Authorization have several")
    return next(iter(tokens), "")


def _offered(scope: Scope) -> Sequence[str]:
    return scope.get("subprotocols") or ()


def subprotocol(scope: Scope) -> str | None:
    """The one that is answered: never a token."""
    return PROTOCOL if PROTOCOL in _offered(scope) else None


def _check_room(node: nodes.Node, scope: Scope, address: str) -> None:
    if node.ending:
        raise Refusal(503, ErrorCode.SERVICE_UNAVAILABLE, "The server is restarting; try again.")
    origin, allowed = _header(scope, b"origin"), settings.ALLOWED_ORIGINS
    if origin and "*" not in allowed and origin not in allowed:  # programs send none
        raise Refusal(403, ErrorCode.INVALID_CONNECTION, "This origin may not connect.")
    places = max_connections()
    if len(node.connections) >= places - places // CALLS_SHARE:
        raise replace(FULL)
    if settings.CONNECTIONS_PER_ADDRESS and is_among(address, settings.FORWARDED_ALLOW_IPS):
        _warn_of_proxy(address)
    if not node.connections.has_place(address):
        raise Refusal(429, ErrorCode.RATE_LIMITED, TOO_MANY)


@lru_cache(64)
def _warn_of_proxy(address: str) -> None:
    """Once for each."""
    log.warning(
        "%s, a proxy in FORWARDED_ALLOW_IPS, sends no X-Forwarded-For: all that come through it"
        " share one CONNECTIONS_PER_ADDRESS",
        address,
    )


def _header(scope: Scope, name: bytes) -> str:
    """A request header's value as text; "" where there is none."""
    return next(_header_values(scope, name), "").replace("\0", "")


def _header_values(scope: Scope, name: bytes) -> Iterator[str]:
    return (str(value, "latin-1") for key, value in scope.get("headers", ()) if key == name)


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0])[:MAX_ADDRESS_LENGTH] if client else ""


def speaks_http(scope: Scope) -> bool:
    """Whether the server can answer a handshake with an HTTP response; daphne cannot."""
    return "websocket.http.response" in (scope.get("extensions") or {})


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Answers with the status and a JSON body, or with 403 where the server can only do that."""
    if not speaks_http(scope):
        await send({"type": "websocket.close"})
        return
    headers, body = refusal.response()
    await send(
        {"type": "websocket.http.response.start", "status": refusal.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": body})


async def not_found(scope: Scope, receive: Any, send: Send) -> None:
    """Any other path: 404, for WebSockets too (design.md section 5)."""
    await receive()
    await refuse(scope, send, Refusal(404, ErrorCode.INVALID_REQUEST, "There is nothing here."))

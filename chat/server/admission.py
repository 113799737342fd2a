"""Which sockets this process keeps, whatever they have sent: as many as `max_connections` says in
all, and so many without a WebSocket of one address. The others are told why, and closed."""

import asyncio
import logging
from collections import Counter
from typing import Final

from uvicorn.protocols.utils import get_remote_addr

from chat.conf import settings
from chat.connections.handshake import FULL, Refusal
from chat.counts import counts
from chat.protocol.addresses import is_among, network
from chat.protocol.errors import ErrorCode
from chat.runtime.connection import max_connections, reserved_descriptors
from chat.server.asgi_connection import http_response

log = logging.getLogger("chat.server.admission")

HTTP_SOCKETS: Final = 64  # of one address or, where that is more, CONNECTIONS_PER_ADDRESS
ASK_SECONDS: Final = 1  # for a request to come, and its answer to be read
PROBE: Final = b"GET /healthz "  # who restarts a process that is full closes all that it holds
TOO_MANY: Final = Refusal(429, ErrorCode.RATE_LIMITED, "Too many sockets from this address.")

_sockets: Counter[str] = Counter()  # without a WebSocket, by network
_turned_away: "dict[TurnedAway, None]" = {}  # the first first


def enter(transport: asyncio.Transport, held: int) -> str | None:
    """A place, to be given back to `leave`; None: it is turned away. `held`: how many sockets there
    are with this one."""
    place = _place_of(transport)
    if held > max_connections():
        _turn_away(transport, FULL)
    elif place and _sockets[place] >= max(HTTP_SOCKETS, settings.CONNECTIONS_PER_ADDRESS):
        _turn_away(transport, TOO_MANY)
    else:
        _sockets[place] += 1
        return place
    return None


def leave(place: str | None) -> None:
    """The socket is closed, or has become a WebSocket."""
    if place is not None:
        _sockets[place] -= 1
        if not _sockets[place]:
            del _sockets[place]


def _place_of(transport: asyncio.Transport) -> str:
    """The network that its sockets count for; "" where they do not: a proxy has those of many."""
    client = get_remote_addr(transport) if settings.CONNECTIONS_PER_ADDRESS else None
    if client is None or is_among(client[0], settings.FORWARDED_ALLOW_IPS):
        return ""
    return network(client[0])


def _turn_away(transport: asyncio.Transport, refusal: Refusal) -> None:
    counts.turned_away += 1
    if not _turned_away:  # else the line is there already
        log.warning("Sockets are turned away: %s", refusal.message)
    headers, body = refusal.response()
    if "*" in settings.ALLOWED_ORIGINS:
        headers.append((b"access-control-allow-origin", b"*"))
    transport.set_protocol(TurnedAway(transport, http_response(refusal.status, headers, body)))


class TurnedAway(asyncio.Protocol):
    """Gets its answer when it has asked or, if it does not, at its end, and is read until then:
    closing a socket with unread bytes makes the kernel send a reset, which overtakes the answer.
    There are as many as half of the reserve: one more ends the first."""

    def __init__(self, transport: asyncio.Transport, refusal: bytes) -> None:
        self._transport = transport
        self._refusal = refusal
        self._answered = False
        self._timer = asyncio.get_running_loop().call_later(ASK_SECONDS, self.end)
        _turned_away[self] = None
        if len(_turned_away) > reserved_descriptors() // 2:
            next(iter(_turned_away)).end()

    def data_received(self, data: bytes) -> None:
        self._answer(_healthy() if data.startswith(PROBE) else self._refusal)

    def end(self) -> None:
        self._answer(self._refusal)
        self._transport.close()
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        _turned_away.pop(self, None)

    def _answer(self, answer: bytes) -> None:
        if not self._answered and not self._transport.is_closing():
            self._answered = True
            self._transport.write(answer)
            self._transport.write_eof()


def _healthy() -> bytes:
    return http_response(200, [(b"content-type", b"application/json")], b'{"status": "ok"}')

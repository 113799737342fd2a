"""How uvicorn runs here: its limits, its manners and its shutdown (design.md section 5).

What a connection means is not known here: frames go to the ASGI application, bytes to the socket.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from django.conf import settings

from chat.runtime.connection import PING_SECONDS
from chat.server.http_protocol import HttpConnection, WebSocket
from chat.server.websocket_protocol import DirectWebSocket

REQUEST_BYTES: Final = 128 * 1024
FRAME_BYTES: Final = 128 * 1024
UNACKNOWLEDGED_SECONDS: Final = 30
GRACE_SECONDS: Final = 3
EXIT_SECONDS: Final = 10
SWITCH_SECONDS: Final = 0.0005
"""How long a busy thread holds the interpreter while the event loop waits (design.md section 4)."""


class Server(uvicorn.Server):
    """Ends in order when asked once, within EXIT_SECONDS; at once when asked again."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)
        last_resort = threading.Timer(EXIT_SECONDS, os._exit, [128 + sig])
        last_resort.daemon = True
        last_resort.start()

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super()._serve(sockets)
        self._captured_signals.clear()  # uvicorn would raise them again: an exit code of -15

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await drain()
        await super().shutdown(sockets)


async def drain() -> None:
    """What is done between the last handshake and uvicorn's own closing of what is still open."""
    from chat.runtime import node

    running = node.running()
    if running is not None:
        await running.drain()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError, with a message to show, where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        milliseconds = UNACKNOWLEDGED_SECONDS * 1000
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listening


def run(
    listening: socket.socket,
    trusted_proxies: str,
    started: Callable[[], None],
    *,
    direct: bool = True,
) -> None:
    """Serves until SIGINT or SIGTERM. Calls `started` once requests are answered.

    `trusted_proxies`: addresses whose X-Forwarded-For and -Proto headers are believed. `direct`:
    whether frames take the short way (chat.direct), or ASGI's, as on other servers.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    config = uvicorn.Config(
        ":".join(settings.ASGI_APPLICATION.rsplit(".", 1)),
        http=HttpConnection,
        h11_max_incomplete_event_size=REQUEST_BYTES,
        ws=DirectWebSocket if direct else WebSocket,
        ws_max_size=FRAME_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        log_config=None,
        server_header=False,
        forwarded_allow_ips=trusted_proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
        workers=1,
    )
    Server(config, started).run([listening])

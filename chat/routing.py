"""The WebSocket addresses (protocol.md section 1); any other is a 404."""

from typing import Any

from chat.connections.consumer import ChatConsumer
from chat.connections.handshake import not_found

PATHS = frozenset({"", "/", "/v1", "/v1/"})

consumer = ChatConsumer.as_asgi()


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    serve = consumer if scope["path"] in PATHS else not_found
    await serve(scope, receive, send)

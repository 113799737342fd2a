"""The ASGI applications of the chat, beside Django's: WebSockets (protocol.md section 1) and
lifespan."""

import logging
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, LifespanScope

from chat.connections.consumer import ChatConsumer
from chat.connections.handshake import not_found
from chat.protocol.errors import ProtocolError
from chat.runtime import node as nodes

log = logging.getLogger("chat.runtime.node")

PATHS = frozenset({"", "/", "/v1", "/v1/"})

consumer = ChatConsumer.as_asgi()


async def websocket(scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Any other path is a 404."""
    serve = consumer if scope["path"] in PATHS else not_found
    await serve(scope, receive, send)


async def lifespan(
    scope: LifespanScope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Start and stop this process's node with the server. Where the database is away, the server
    starts all the same, and the node with the first connection that finds it back."""
    await receive()  # lifespan.startup
    try:
        await nodes.current()
    except ProtocolError as error:
        log.warning("Started without a database: %s", error.message)
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    if (node := nodes.running()) is not None:
        await node.stop()
    await send({"type": "lifespan.shutdown.complete"})

"""Starts this process's node with the server and stops it with it, where the server says when."""

import logging
from typing import Any

from chat.protocol.errors import ProtocolError
from chat.runtime import node as nodes

log = logging.getLogger("chat.runtime.node")


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI lifespan protocol. A database that is away does not keep the server from starting:
    the node starts with the first connection that finds it back."""
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

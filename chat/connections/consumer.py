"""ChatConsumer: one WebSocket, from its handshake on. No SQL, no permissions.

Where the server offers its socket, frames go straight to its transport and come straight from it,
and the task of the handshake ends. Elsewhere AsgiSocket carries them. Channels' own dispatch would
cost 100 µs a message and its layer channel 4 KB a connection (design.md section 4, "Frames straight
to the transport").
"""

from typing import Any

from channels.consumer import AsyncConsumer

from chat.actions.connections import Opened
from chat.conf import settings
from chat.connections import handshake
from chat.connections.asgi_socket import AsgiSocket
from chat.connections.frame_loop import FrameLoop
from chat.fanout.send_queue import EXTENSION, SendQueue, Socket
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node


class ChatConsumer(AsyncConsumer):
    """One WebSocket connection, from its handshake to the last row of it removed."""

    channel_layer_alias = None  # type: ignore[assignment]  # channels: "no layer"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        try:
            node, opened = await handshake.open(scope)
        except handshake.Refusal as refusal:
            await handshake.refuse(scope, send, refusal)
            return
        offered: Socket | None = (scope.get("extensions") or {}).get(EXTENSION)
        socket = offered or AsgiSocket(receive, handshake.sender(scope, send))
        frame_loop = _frame_loop(node, opened, scope, socket)
        try:
            await send({"type": "websocket.accept"})
        except BaseException:
            frame_loop.close()
            raise
        socket.open(frame_loop, frame_loop.connection.send_queue)
        frame_loop.open(opened)
        if isinstance(socket, AsgiSocket):
            await socket.run()


def _frame_loop(node: Node, opened: Opened, scope: Any, socket: Socket) -> FrameLoop:
    now = node.loop.time()
    ends_at = now + settings.CONNECTION_MAX_SECONDS
    address = handshake.address_of(scope)
    send_queue = SendQueue(socket, node.flusher)
    connection = LiveConnection(opened.session, send_queue, address, ends_at, now, now)
    return FrameLoop(node, connection, socket)

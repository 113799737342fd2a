"""ChatConsumer: one WebSocket, from its handshake on. No SQL, no permissions.

Frames go straight to the server's transport where it offers its socket, else through AsgiSocket:
Channels' own dispatch would cost 100 µs a message, its layer channel 4 KB a connection (design.md
section 4).
"""

from typing import Any

from channels.consumer import AsyncConsumer

from chat.connections import handshake
from chat.connections.asgi_socket import AsgiSocket
from chat.connections.frame_loop import FrameLoop
from chat.counts import ACCEPTED, counts
from chat.fanout.send_queue import EXTENSION, SendQueue, Socket
from chat.runtime.connection import LiveConnection


class ChatConsumer(AsyncConsumer):
    channel_layer_alias = None  # type: ignore[assignment]  # channels: "no layer"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        try:
            node, opened = await handshake.open(scope)
        except handshake.Refusal as refusal:
            counts.handshakes[str(refusal.status)] += 1
            await handshake.refuse(scope, send, refusal)
            return
        offered: Socket | None = (scope.get("extensions") or {}).get(EXTENSION)
        socket = offered or AsgiSocket(receive, send, any_code=handshake.speaks_http(scope))
        now, address = node.loop.time(), handshake.address_of(scope)
        ends_at, send_queue = now + opened.seconds, SendQueue(socket, node.flusher)
        connection = LiveConnection(opened.session, send_queue, address, ends_at, now, now, now)
        frame_loop = FrameLoop(node, connection, socket)
        try:
            await send({"type": "websocket.accept", "subprotocol": handshake.subprotocol(scope)})
        except BaseException:
            frame_loop.close()
            raise
        counts.handshakes[ACCEPTED] += 1
        socket.open(frame_loop, send_queue)
        frame_loop.open(opened)
        if isinstance(socket, AsgiSocket):
            await socket.run()

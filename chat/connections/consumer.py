"""ChatConsumer: frames in, frames out. No SQL, no permissions.

Where the server lets us, frames go straight to its transport and come straight from it, and the
task of the handshake ends (chat.direct). Elsewhere a receive loop of its own reads them: Channels'
dispatch costs 100 µs a message and a layer channel 4 KB a connection (design.md section 4, "Frames
straight to the transport").
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from channels.consumer import AsyncConsumer
from django.conf import settings

from chat.actions.connections import Opened
from chat.connections import handshake
from chat.connections.frame_loop import Conversation, Inbox
from chat.fanout.send_queue import AsgiSendQueue
from chat.fanout.transport import SendQueue, Socket, socket_of
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]


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
        if (socket := socket_of(scope)) is None:
            send_queue = AsgiSendQueue(handshake.sender(scope, send), _canceller())
            await _converse(_conversation(node, opened, scope, send_queue), opened, receive, send)
        else:
            await _open(node, opened, scope, send, socket)


async def _open(node: Node, opened: Opened, scope: Any, send: Send, socket: Socket) -> None:
    """From here on the connection lives in its socket's callbacks."""
    send_queue = SendQueue(socket, node.flusher)
    conversation = _conversation(node, opened, scope, send_queue)
    inbox = Inbox(conversation, socket)
    try:
        await send({"type": "websocket.accept"})
    except BaseException:
        conversation.end()
        raise
    socket.open(inbox, send_queue)
    inbox.begin(conversation.begin(opened))


def _conversation(
    node: Node, opened: Opened, scope: Any, send_queue: AsgiSendQueue | SendQueue
) -> Conversation:
    now = node.loop.time()
    ends_at = now + settings.CONNECTION_MAX_SECONDS
    address = handshake.address_of(scope)
    return Conversation(
        node, LiveConnection(opened.session, send_queue, address, ends_at, now, now)
    )


async def _converse(
    conversation: Conversation, opened: Opened, receive: Receive, send: Send
) -> None:
    """Until the connection ends, through ASGI."""
    try:
        await send({"type": "websocket.accept"})
        await conversation.begin(opened)
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            rest = conversation.hear(iter((message["bytes"] if text is None else text,)))
            if rest is not None:
                await rest
    except asyncio.CancelledError:
        if not conversation.connection.send_queue.ended:
            raise
    finally:
        await conversation.end()


def _canceller() -> Callable[[], object]:
    """Ends the running consumer, for when its client neither reads nor leaves."""
    return cast("asyncio.Task[None]", asyncio.current_task()).cancel

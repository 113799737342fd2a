"""ChatConsumer: frames in, frames out. No SQL, no permissions.

Keeps a receive loop of its own: Channels' dispatch costs 100 µs a message and a layer channel
4 KB a connection (design.md section 4, "Frames straight to the transport"). Frames are handled
one after another, each waiting for its commit, so that order is kept and the writer's queue is
bounded by the number of connections.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from channels.consumer import AsyncConsumer
from django.conf import settings

from chat import handshake
from chat.actions.connections import Opened, close_connection
from chat.actions.handlers import HANDLERS
from chat.actions.subscriptions import subscribe
from chat.delivery.live import LiveConnection
from chat.delivery.outbox import Outbox
from chat.node import Node
from chat.protocol import commands, decoders, events, frames
from chat.protocol.errors import CloseCode, ErrorCode, ProtocolError
from chat.protocol.rate import Rate

log = logging.getLogger("chat.consumer")

# Frames over the rate, without a rest between them, after which the connection is closed.
MAX_REFUSED: Final = 100

FAILED: Final = "The server could not handle this; try again."

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ChatConsumer(AsyncConsumer):
    """One WebSocket connection, from its handshake to the last row of it removed."""

    channel_layer_alias = None  # type: ignore[assignment]  # channels: "no layer"

    node: Node
    connection: LiveConnection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        try:
            self.node, opened = await handshake.open(scope)
        except handshake.Refusal as refusal:
            await handshake.refuse(scope, send, refusal)
            return
        outbox = Outbox(handshake.sender(scope, send), _canceller())
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        ends_at = now + settings.CONNECTION_MAX_SECONDS
        address = handshake.address_of(scope)
        self.connection = LiveConnection(opened.session, outbox, address, ends_at, now, now)
        try:
            await send({"type": "websocket.accept"})
            await self._run(opened, receive)
        except asyncio.CancelledError:
            if not outbox.ended:
                raise
        finally:
            await self.node.outlast(close_connection(self.node, self.connection))

    async def _run(self, opened: Opened, receive: Receive) -> None:
        self.node.add(self.connection)
        session = opened.session
        self.connection.outbox.push(
            events.connected(session.connection_id, opened.secret, opened.expires_at, session.meta)
        )
        self._rate = Rate(settings.CLIENT_FRAMES_PER_SECOND)
        await self._subscribe_at_once()
        while (message := await receive())["type"] == "websocket.receive":
            if not self.connection.outbox.closing:
                text = message.get("text")
                await self._receive(message["bytes"] if text is None else text)

    async def _subscribe_at_once(self) -> None:
        for channel in self.connection.session.grants.auto_channels():
            try:
                command = commands.Subscribe(decoders.valid_channel(channel))
                await subscribe(self.node, self.connection, command, auto=True)
            except ProtocolError as error:
                self._refuse(error, "hotsock.subscribe", channel)

    async def _receive(self, sent: str | bytes) -> None:
        """Handles one frame; bytes are what a binary one holds."""
        self.connection.heard_at = now = self._loop.time()
        if not self._rate.allows(now):
            self._too_fast(sent)
        elif frames.oversize(sent):
            self.connection.outbox.close(CloseCode.TOO_LARGE)
        elif isinstance(sent, bytes):
            self._refuse(frames.malformed("Frames must be text, not binary."), None, None)
        else:
            self.connection.handling = True
            await self._handle(sent)
            self.connection.handling = False

    async def _handle(self, text: str) -> None:
        event, channel = None, None
        try:
            frame = frames.parse(text)
            event, channel = frame.event, frame.channel
            command = decoders.decode(frame)
            await HANDLERS[type(command)](self.node, self.connection, command)
        except ProtocolError as error:
            if event is None:
                event, channel = frames.outline(text)
            self._refuse(error, event, channel)
        except Exception:  # the outermost edge
            log.exception("A frame could not be handled")
            self._refuse(ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, FAILED), event, channel)

    def _refuse(self, error: ProtocolError, event: str | None, channel: str | None) -> None:
        told = events.error(error.code, error.message, event, error.channel or channel)
        self.connection.outbox.push(told)
        if event == "hotsock.subscribe" and error.code is ErrorCode.SERVICE_UNAVAILABLE:
            # a client would wait for ever for its hotsock.subscribed (protocol.md section 7)
            self.connection.outbox.close(CloseCode.TRY_AGAIN_LATER)

    def _too_fast(self, sent: str | bytes) -> None:
        limit = settings.CLIENT_FRAMES_PER_SECOND
        sentence = f"More than {limit} frames a second; this frame was not handled."
        self._refuse(ProtocolError(ErrorCode.RATE_LIMITED, sentence), *frames.outline(sent))
        if self._rate.refused >= MAX_REFUSED:
            self.connection.outbox.close(CloseCode.TOO_FAST)


def _canceller() -> Callable[[], object]:
    """Ends the running consumer, for when its client neither reads nor leaves."""
    return cast("asyncio.Task[None]", asyncio.current_task()).cancel

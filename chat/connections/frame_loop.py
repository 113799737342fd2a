"""What one connection says, a frame at a time, each waiting for the one before it. Messages to be
stored do not wait for each other but go to the writer as they come, a few at most: it keeps their
order, and its queue is bounded by the number of connections (docs/decisions/0004-in-a-row.md).

A frame that needs nobody's answer is handled at once; only what waits becomes a coroutine.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol

from django.conf import settings

from chat.actions.connections import Opened, close_connection
from chat.actions.handlers import handle
from chat.actions.messages import put_stored, remember
from chat.actions.subscriptions import subscribe
from chat.protocol import commands, decoders, events, frames
from chat.protocol.errors import CloseCode, ErrorCode, ProtocolError
from chat.protocol.rate import Rate
from chat.runtime.connection import LiveConnection
from chat.runtime.node import Node
from chat.store.operations import PublishMessage

log = logging.getLogger("chat.consumer")

# Frames over the rate, without a rest between them, after which the connection is closed.
MAX_REFUSED: Final = 100
# Frames that wait for one to be handled; then reading pauses.
MAX_WAITING: Final = 64
# Messages that are stored, one behind the other, while none of them is committed yet.
MAX_STORING: Final = 16

# Characters, of 4 bytes at most.
SURELY_SMALL: Final = frames.MAX_FRAME_BYTES // 4

FAILED: Final = "The server could not handle this; try again."


class Conversation:
    """An open connection, from its first frame to the last row of it removed."""

    __slots__ = ("_node", "_rate", "_settled", "_storing", "connection", "loop")

    def __init__(self, node: Node, connection: LiveConnection) -> None:
        self.connection = connection
        self._node = node
        self._rate = Rate(settings.CLIENT_FRAMES_PER_SECOND)
        self.loop = node.loop
        self._storing = 0  # messages that are not committed yet
        self._settled: asyncio.Future[None] | None = None  # waits until there are none

    def begin(self, opened: Opened) -> Awaitable[None]:
        """Says `hotsock.connected`; what is waited for are the subscriptions of its token."""
        self._node.add(self.connection)
        session = opened.session
        self.connection.send_queue.push(
            events.connected(session.connection_id, opened.secret, opened.expires_at, session.meta)
        )
        return self._subscribe_at_once()

    def hear(self, sent: Iterator[str | bytes]) -> Awaitable[None] | None:
        """Handles frames (bytes: a binary one) up to the one of which the rest must be awaited
        before the next is heard; gives that rest."""
        node = self._node
        node.flusher.hold()
        try:
            rest = self._hear(sent)
            node.gathering.tell()
        except Exception:  # the outermost edge
            self._fail(None, None)
            return None
        finally:
            node.flusher.let_go()
        return rest

    def _hear(self, sent: Iterator[str | bytes]) -> Awaitable[None] | None:
        connection, rate = self.connection, self._rate
        send_queue = connection.send_queue
        connection.heard_at = now = self._node.loop.time()
        for frame in sent:
            if send_queue.closing and send_queue.close_code is not None:
                return None  # what its client sent before it ended the connection counts
            if not rate.allows(now):
                self._too_fast(frame)
            elif isinstance(frame, str) and len(frame) < SURELY_SMALL:
                rest = self._handle(frame)
                if rest is not None:
                    return rest
            else:
                rest = self._handle_odd(frame)
                if rest is not None:
                    return rest
        return None

    def _handle(self, text: str) -> Awaitable[None] | None:
        node, connection = self._node, self.connection
        session = connection.session
        try:
            frame = frames.parse(text)
            try:
                route = session.routes[frame.channel][frame.event]
            except KeyError:
                route = None
            if route is not None and frame.schedule_expression is None:
                if route.passes and not self._storing:
                    node.gathering.add(session, route, decoders.valid_data(frame.data))
                    return None
                if route.stores and self._storing < MAX_STORING:
                    node.gathering.tell()
                    told = partial(self._stored, frame.event, frame.channel)
                    put_stored(node, session, route, decoders.valid_data(frame.data), told)
                    self._storing += 1
                    return None
            node.gathering.tell()
            if self._storing:
                return self._behind(text)
            rest = handle(node, connection, frame)
            return None if rest is None else self._finish(rest, frame.event, frame.channel)
        except ProtocolError as error:
            if self._storing:
                return self._behind(text)
            self._refuse(error, *frames.outline(text))
        except Exception:  # the outermost edge
            self._fail(*frames.outline(text))
        return None

    def _stored(
        self,
        event: str,
        channel: str | None,
        operation: PublishMessage,
        outcome: str | ProtocolError,
    ) -> None:
        self._storing -= 1
        if isinstance(outcome, ProtocolError):
            self._refuse(outcome, event, channel)
        else:
            remember(self.connection.session, operation)
        if not self._storing and self._settled is not None:
            self._settled.set_result(None)
            self._settled = None

    async def _behind(self, frame: str | bytes) -> None:
        """Handles it once all that was published before is stored, or was refused."""
        self._settled = settled = self.loop.create_future()
        self.connection.handling = True
        try:
            await asyncio.shield(settled)
        finally:
            self.connection.handling = False
        try:
            rest = self._handle_odd(frame)
            self._node.gathering.tell()
        except Exception:  # the outermost edge
            self._fail(*frames.outline(frame))
            return
        if rest is not None:
            await rest

    def _handle_odd(self, sent: str | bytes) -> Awaitable[None] | None:
        """What may be large, or binary."""
        self._node.gathering.tell()
        if self._storing:
            return self._behind(sent)
        if frames.oversize(sent):
            self.connection.send_queue.close(CloseCode.TOO_LARGE)
        elif isinstance(sent, bytes):
            self._refuse(frames.malformed("Frames must be text, not binary."), None, None)
        else:
            return self._handle(sent)
        return None

    def end(self) -> Awaitable[None]:
        """Removes it and its rows, also where nobody waits for that."""
        return self._node.outlast(close_connection(self._node, self.connection))

    async def _subscribe_at_once(self) -> None:
        for channel in self.connection.session.grants.auto_channels():
            try:
                command = commands.Subscribe(decoders.valid_channel(channel))
                await subscribe(self._node, self.connection, command, auto=True)
            except ProtocolError as error:
                self._refuse(error, "hotsock.subscribe", channel)
            except Exception:  # the outermost edge
                self._fail("hotsock.subscribe", channel)

    async def _finish(self, rest: Awaitable[object], event: str, channel: str | None) -> None:
        self.connection.handling = True
        try:
            await rest
        except ProtocolError as error:
            self._refuse(error, event, channel)
        except Exception:  # the outermost edge
            self._fail(event, channel)
        finally:
            self.connection.handling = False

    def _fail(self, event: str | None, channel: str | None) -> None:
        log.exception("A frame could not be handled")
        self._refuse(ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, FAILED), event, channel)

    def _refuse(self, error: ProtocolError, event: str | None, channel: str | None) -> None:
        self._node.gathering.tell()  # what came before
        told = events.error(error.code, error.message, event, error.channel or channel)
        self.connection.send_queue.push(told)
        if event == "hotsock.subscribe" and error.code is ErrorCode.SERVICE_UNAVAILABLE:
            # a client would wait for ever for its hotsock.subscribed (protocol.md section 7)
            self.connection.send_queue.close(CloseCode.TRY_AGAIN_LATER)

    def _too_fast(self, sent: str | bytes) -> None:
        limit = settings.CLIENT_FRAMES_PER_SECOND
        sentence = f"More than {limit} frames a second; this frame was not handled."
        self._refuse(ProtocolError(ErrorCode.RATE_LIMITED, sentence), *frames.outline(sent))
        if self._rate.refused >= MAX_REFUSED:
            self.connection.send_queue.close(CloseCode.TOO_FAST)


class Reading(Protocol):
    """Where frames come from, and can be told to stop coming for a while."""

    def pause_frames(self) -> None: ...
    def resume_frames(self) -> None: ...


class Inbox:
    """The frames of a connection that has no task of its own: each is heard as it comes, or after
    the one that is still being handled."""

    __slots__ = ("_busy", "_conversation", "_ended", "_paused", "_reading", "_waiting")

    def __init__(self, conversation: Conversation, reading: Reading) -> None:
        self._conversation = conversation
        self._reading = reading
        self._waiting: deque[str | bytes] | None = None
        self._busy: asyncio.Task[None] | bool = True  # until `begin`, too
        self._ended = False
        self._paused = False

    def begin(self, first: Awaitable[None]) -> None:
        """What comes, or came before, is heard once `first` is done."""
        self._busy = True
        task = asyncio.Task(self._run(first), loop=self._conversation.loop, eager_start=True)
        if self._busy:
            self._busy = task

    def receive(self, sent: Iterable[str | bytes]) -> None:
        """Frames, as one read of the socket gave them."""
        coming = iter(sent)
        while not self._busy:
            first = self._conversation.hear(coming)
            if first is None:
                return
            self.begin(first)  # which may be done by then
        self._wait(coming)

    def _wait(self, coming: Iterator[str | bytes]) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.extend(coming)
        if len(self._waiting) > MAX_WAITING and not self._paused:
            self._paused = True
            self._reading.pause_frames()

    def end(self) -> None:
        """Nothing more comes: the connection has ended. Once what came has been handled, it is
        removed."""
        if not self._ended:
            self._ended = True
            if not self._busy:
                self._conversation.end()

    async def _run(self, first: Awaitable[None]) -> None:
        try:
            await first
            while self._waiting:
                rest = self._conversation.hear(_taken(self._waiting))
                if self._paused and len(self._waiting) <= MAX_WAITING:
                    self._paused = False
                    self._reading.resume_frames()
                if rest is not None:
                    await rest
        finally:
            self._busy, self._waiting = False, None
            if self._ended:
                self._conversation.end()


def _taken(waiting: deque[str | bytes]) -> Iterator[str | bytes]:
    while waiting:
        yield waiting.popleft()

"""The frames of one connection, handled strictly in the order in which they came.

A frame that needs no answer from elsewhere is handled at once; only what must wait becomes a
coroutine, and the frames behind it wait for it. Messages to be stored do not wait for each other:
the writer, which keeps their order, takes a few of them at once (docs/decisions/0004).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from chat.actions import publishing
from chat.actions.connections import Opened
from chat.actions.live import LiveClaims
from chat.actions.metadata import update_umd
from chat.actions.reactions import react
from chat.actions.storage import get_storage, set_storage
from chat.actions.subscriptions import end_subscription, subscribe, unsubscribe
from chat.conf import settings
from chat.counts import WEBSOCKET, counts
from chat.fanout.announcements import Change
from chat.fanout.send_queue import Socket
from chat.protocol import commands, events, frames
from chat.protocol.errors import LOST, CloseCode, ErrorCode, ProtocolError
from chat.protocol.frames import About, Frame
from chat.protocol.publication import Acknowledged
from chat.protocol.session import Route, Subscription
from chat.runtime.connection import MAX_REFUSED, LiveConnection
from chat.runtime.node import Node
from chat.store.reports import listening

log = logging.getLogger("chat.connection")

# Behind the frame being handled; then reading pauses.
MAX_WAITING: Final = 64  # frames
MAX_WAITING_CHARACTERS: Final = 256 * 1024
MAX_STORING: Final = 16  # messages in a row that are not committed yet
# Frames of ephemeral messages that are broadcast as one: with one more, less than the portion that
# is written at once to a client that may read slowly.
MAX_RUN_BYTES: Final = 16 * 1024
CHARACTER_BYTES: Final = 4  # of UTF-8, at most
ABUSE: Final = frozenset({CloseCode.TOO_SLOW, CloseCode.TOO_FAST})
# Why a connection ended, as the log says it (docs/logs.md).
CLOSED: Final = {
    CloseCode.GOING_AWAY: "idle",
    CloseCode.TOO_LARGE: "a frame was too large",
    CloseCode.RESTARTING: "the server restarts",
    CloseCode.TRY_AGAIN_LATER: "the client has to catch up",
    CloseCode.REVOKED: "revoked",
    CloseCode.HEARTBEAT_MISSED: "no heartbeat",
    CloseCode.TOO_SLOW: "read too slowly",
    CloseCode.TOO_FAST: "sent too much",
}
LEFT: Final = {
    1002: "broke the protocol",
    LOST: "lost",
    1007: "broke the protocol",
    1009: "a frame was too large",
    1011: "answered no ping",
    1012: "the server restarts",
}
FAILED: Final = "The server could not handle this; try again."


@dataclass(slots=True, eq=False)
class FrameLoop:
    """An open connection, from its first frame to the last row of it removed."""

    _node: Node
    connection: LiveConnection
    _socket: Socket
    _rate: frames.Rate = field(
        default_factory=lambda: frames.Rate(settings.CLIENT_FRAMES_PER_SECOND)
    )
    _waiting: deque[str | bytes] | None = None  # frames behind the one being handled
    _expired: dict[str, Subscription] | None = None  # by channel: ended before these are
    _handling: asyncio.Task[None] | bool = True  # until `open`, too
    _paused: bool = False
    _ended: int = 0  # the close code, once it has
    _storing: int = 0  # messages that are not committed yet
    _stored: asyncio.Future[None] | None = None  # done when there are none

    # --- frames in their order --------------------------------------------------------------

    def open(self, opened: Opened) -> None:
        """Sends `hotsock.connected`; handles frames once the token's `autoSubscribe` is done."""
        self._node.connections.add(self.connection)
        session = opened.session
        who = {"connection": session.connection_id, "uid": session.uid}
        log.info("Connection opened", {**who, "address": self.connection.address})
        self.connection.end_subscription = self.end_subscription
        self._node.restrictions.check(self.connection)  # which may have changed since its commit
        self.connection.send_queue.push(
            events.connected(session.connection_id, opened.secret, opened.expires_at, session.meta)
        )
        self._await(self._subscribe_at_once())

    def receive(self, sent: Collection[str | bytes]) -> None:
        """Frames, as one read of the socket gave them; bytes: a binary one."""
        self.connection.frames += len(sent)
        coming = iter(sent)
        while not self._handling:
            rest = self._handle_read(coming)
            if rest is None:
                return
            self._await(rest)  # which may be done by then
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.extend(coming)
        if self._full() and not self._paused:
            self._paused = True
            self._socket.pause_frames()

    def _full(self) -> bool:
        waiting = self._waiting or ()
        return len(waiting) > MAX_WAITING or sum(map(len, waiting)) > MAX_WAITING_CHARACTERS

    def charge(self) -> bool:
        if self._rate.allows(self._node.loop.time()):
            return True
        if self._rate.refused in (1, MAX_REFUSED):
            self._refuse(_too_fast(), *frames.NOTHING_KNOWN)
        return False

    def end(self, code: int) -> None:
        """The connection has ended. Once what came has been handled, it is removed."""
        if not self._ended:
            self._ended = code
            if not self._handling:
                self.close()

    def close(self) -> Awaitable[None]:
        """Removes it and its rows, also where nobody waits for that."""
        self.connection.end_subscription = None  # which holds this in turn
        return self._node.outlast(
            close_connection(self._node, self.connection, self._ended or LOST)
        )

    def _await(self, rest: Awaitable[object]) -> None:
        """Handles what waits once `rest` is done."""
        self._handling = True
        loop = self._node.loop
        task = asyncio.Task(self._finish_and_go_on(rest), loop=loop, eager_start=True)
        if self._handling:
            self._handling = task

    async def _finish_and_go_on(self, rest: Awaitable[object]) -> None:
        try:
            await rest
            while self._waiting or self._expired:
                if self._expired:
                    await self._end_expired()
                waiting = self._waiting
                next_rest = self._handle_read(_taken_from(waiting)) if waiting else None
                if self._paused and not self._full():
                    self._paused = False
                    self._socket.resume_frames()
                if next_rest is not None:
                    await next_rest
        finally:
            self._handling, self._waiting = False, None
            if self._ended:
                self.close()

    def end_subscription(self, subscription: Subscription) -> None:
        """Ends it behind the frame that is being handled."""
        if self._expired is None:
            self._expired = {}
        self._expired[subscription.channel] = subscription
        if not self._handling:
            self._await(self._end_expired())

    async def _end_expired(self) -> None:
        node = self._node
        while self._expired:
            _, subscription = self._expired.popitem()
            parts = subscription, node.hub, node.writer, node.reaper
            end = partial(end_subscription, self.connection, *parts)
            try:
                await (self._behind(end) if self._storing else end())
            except ProtocolError as error:  # it is tried again at the next check
                log.warning("A subscription could not be ended: %s", error.in_full)
            except Exception:  # the outermost edge
                log.exception("A subscription could not be ended")

    # --- one read ---------------------------------------------------------------------------

    def _handle_read(self, coming: Iterator[str | bytes]) -> Awaitable[object] | None:
        """Handles frames up to the one of which the rest must be awaited before the next; gives
        that rest."""
        flusher = self._node.flusher
        flusher.held = True
        try:
            while True:
                try:
                    return self._handle_each(coming)
                except Exception:  # the outermost edge: the next frame is handled all the same
                    self._fail(*frames.NOTHING_KNOWN)
        finally:
            flusher.release()

    def _handle_each(self, coming: Iterator[str | bytes]) -> Awaitable[object] | None:
        """Collects ephemeral messages in a row on one route, and broadcasts them as one before it
        does anything else: nothing can overtake them (promise P4)."""
        queue, session = self.connection.send_queue, self.connection.session
        self.connection.heard_at = now = self._node.loop.time()
        run: list[bytes] = []
        run_route: Route | None = None
        size = overhead = 0
        for sent in coming:
            step: Frame | ProtocolError
            route = data = None
            if queue.closing and queue.close_code is not None:
                return None  # what its client sent before it ended the connection counts
            try:
                step = frame = self._parse(sent, now)
                route = session.routes[frame.channel][frame.event]
                if frame.schedule_expression is None and frame.ack is None:
                    if route.is_ephemeral:
                        data = None if self._storing else frames.valid_data(frame.data)
                    elif route.is_stored and self._storing < MAX_STORING and run_route is None:
                        self._store(frame, route, frames.valid_data(frame.data))
                        continue
            except KeyError:
                pass
            except ProtocolError as refused:
                step = refused
            if run_route and (route is not run_route or not data or size > MAX_RUN_BYTES):
                publishing.broadcast(self._node.hub, session, run_route, run)
                run, run_route, size = [], None, 0
            if data:
                if run_route is None and route is not None:
                    run_route, overhead = route, route.template.overhead(route.sender.meta)
                run.append(data)
                size += overhead + len(data)
            else:
                if (rest := self._handle(step, sent, route)) is not None:
                    return rest
        if run_route is not None:
            publishing.broadcast(self._node.hub, session, run_route, run)
        return None

    def _parse(self, sent: str | bytes, now: float) -> Frame:
        if not self._rate.allows(now):
            raise _too_fast()
        if isinstance(sent, bytes) or len(sent) > frames.MAX_FRAME_BYTES // CHARACTER_BYTES:
            if frames.oversize(sent):
                raise FrameTooLarge(ErrorCode.DATA_TOO_LARGE, "The frame is too large.")
            self._node.connections.spend(self.connection.id, len(sent) / frames.UNIT_BYTES)
            if isinstance(sent, bytes):
                raise frames.malformed("Frames must be text, not binary.")
        return frames.parse(sent)

    # --- one frame --------------------------------------------------------------------------

    def _handle(
        self, step: Frame | ProtocolError, sent: str | bytes, route: Route | None
    ) -> Awaitable[object] | None:
        """Handles a frame, or refuses it with the error that was found in it. `route` is where its
        message goes, None where it is not known yet or the frame is no message."""
        try:
            if isinstance(step, ProtocolError):
                raise step
            if route is not None:
                at = None if step.schedule_expression is None else frames.due(step)
                return self._publish(step, route, frames.valid_data(step.data), at)
            command = commands.decode(step)
            if isinstance(command, commands.Publish):
                session = self.connection.session
                route = publishing.route_to(session, command.channel, command.event)
                return self._publish(step, route, command.data, command.at)
            if self._storing:
                return self._behind(partial(self._handle, step, sent, None))
            self._charge(step)
            counts.commands[step.event] += 1
            rest = HANDLERS[type(command)](self._node, self.connection, command)
            return None if rest is None else self._finish(rest, _about(step))
        except ProtocolError as error:
            if self._storing:
                return self._behind(partial(self._handle, error, sent, None))
            self._refuse(error, *frames.outline(sent))
        except Exception:  # the outermost edge
            self._fail(*frames.outline(sent))
        return None

    def _charge(self, frame: Frame) -> None:
        subscriptions = len(self.connection.session.subscriptions)
        if units := frames.cost(frame.event, frame.channel, subscriptions):
            self._node.connections.spend(self.connection.id, units)

    def _publish(
        self, frame: Frame, route: Route, data: bytes, at: datetime | None
    ) -> Awaitable[object] | None:
        node, session = self._node, self.connection.session
        if at is None and route.is_stored and self._storing < MAX_STORING:
            self._store(frame, route, data)
            return None
        if self._storing:
            behind = self._behind(partial(self._publish, frame, route, data, at))
            return self._finish(behind, _about(frame))
        if at is None and route.is_ephemeral:
            id = publishing.broadcast(node.hub, session, route, [data])
            if frame.ack is not None:
                self._acknowledge(Acknowledged(route.channel, route.event, id, ack=frame.ack))
            return None
        ack = frames.ack_of(frame)
        published = publishing.publish(node.hub, node.writer, session, route, data, at, ack)
        return self._finish(published, _about(frame))

    def _store(self, frame: Frame, route: Route, data: bytes) -> None:
        ack = None if frame.ack is None else frames.ack_of(frame)
        session, about = self.connection.session, (frame.event, frame.channel, frame.ack)
        publishing.store(self._node.writer, session, route, data, self._on_stored, about, ack)
        self._storing += 1

    def _on_stored(
        self,
        about: About,
        message: publishing.Stored,
        outcome: str | Acknowledged | ProtocolError,
    ) -> None:
        self._storing -= 1
        if isinstance(outcome, ProtocolError):
            self._refuse(outcome, *about)
        else:
            for change in message.announced:
                if isinstance(change, Change):
                    self.connection.session.follow(change.channel, change.number)
            if isinstance(outcome, Acknowledged):
                self._acknowledge(outcome)
        if not self._storing and self._stored is not None:
            self._stored.set_result(None)
            self._stored = None

    def _acknowledge(self, done: Acknowledged) -> None:
        """Behind what the connection itself gets of it."""
        connection, channel = self.connection, done.channel
        connection.session.follow(channel, done.position or 0)
        after = done.position or connection.session.last_numbers.get(channel, 0)
        event = events.ack(
            *(channel, done.ack),
            id=done.id,
            position=done.position,
            scheduleArn=done.schedule_arn,
            repeated=done.repeated,
        )
        if not self._node.hub.reply(channel, connection.id, after, event):
            connection.send_queue.push(event)

    async def _behind(self, handle: Callable[[], Awaitable[object] | None]) -> None:
        """Calls `handle` once all messages before it are stored, or were refused."""
        self._stored = stored = self._node.loop.create_future()
        self.connection.handling = True
        try:
            await asyncio.shield(stored)
        finally:
            self.connection.handling = False
        if (rest := handle()) is not None:
            await rest

    async def _finish(self, rest: Awaitable[object], about: About) -> None:
        self.connection.handling = True
        try:
            done = await rest
            if isinstance(done, Acknowledged):
                self._acknowledge(done)
        except ProtocolError as error:
            self._refuse(error, *about)
        except Exception:  # the outermost edge
            self._fail(*about)
        finally:
            self.connection.handling = False

    async def _subscribe_at_once(self) -> None:
        node, connection = self._node, self.connection
        of_server = isinstance(connection.session.claims, LiveClaims)  # whose channel's name is not
        for channel in connection.session.grants.auto_channels():
            try:
                name = channel if of_server else commands.valid_channel(channel)
                command = commands.Subscribe(name)
                await _subscribe_to(node, connection, command, auto=True)
            except ProtocolError as error:
                self._refuse(error, "hotsock.subscribe", channel, None)
            except Exception:  # the outermost edge
                self._fail("hotsock.subscribe", channel, None)

    # --- refusals ---------------------------------------------------------------------------

    def _fail(self, event: str | None, channel: str | None, ack: str | None) -> None:
        log.exception("A frame could not be handled")
        self._refuse(ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, FAILED), event, channel, ack)

    def _refuse(
        self, error: ProtocolError, event: str | None, channel: str | None, ack: str | None
    ) -> None:
        queue = self.connection.send_queue
        counts.refusals[WEBSOCKET, error.code] += 1
        if isinstance(error, FrameTooLarge):
            queue.close(CloseCode.TOO_LARGE)
            return
        queue.push(events.error(error.code, error.message, event, error.channel or channel, ack))
        if event == "hotsock.subscribe" and error.code is ErrorCode.SERVICE_UNAVAILABLE:
            # a client would wait for ever for its hotsock.subscribed (protocol.md section 7)
            queue.close(CloseCode.TRY_AGAIN_LATER)
        elif error.code is ErrorCode.RATE_LIMITED and self._rate.refused >= MAX_REFUSED:
            queue.close(CloseCode.TOO_FAST)


# --- commands -----------------------------------------------------------------------------------

Handler = Callable[[Node, LiveConnection, Any], Awaitable[object] | None]
"""Gives None where all is done, else what is left to be awaited; both raise ProtocolError."""


async def _subscribe(node: Node, connection: LiveConnection, command: commands.Subscribe) -> None:
    if command.occupancy:
        node.connections.spend(connection.id, frames.COSTS["getChannelInfo"])
    if command.since is not None:
        node.connections.spend(connection.id, frames.COSTS["recovery"])
    node.connections.owe(connection.id, await _subscribe_to(node, connection, command))


def _subscribe_to(
    node: Node, connection: LiveConnection, command: commands.Subscribe, *, auto: bool = False
) -> Awaitable[int]:
    parts = node.id, node.hub, node.writer, node.reaper, node.occupancy, node.restrictions
    return subscribe(connection, command, *parts, auto=auto)


async def _get_storage(
    node: Node, connection: LiveConnection, command: commands.GetStorage
) -> None:
    connection.send_queue.push(await get_storage(connection.session, command))


async def _update_umd(node: Node, connection: LiveConnection, command: commands.UpdateUmd) -> None:
    session = connection.session
    channel = await update_umd(session, command, node.metadata, node.restrictions)
    changed = session if channel is None else session.subscriptions[channel]
    connection.send_queue.push(events.umd_updated(channel, changed.meta))


def _heartbeat(node: Node, connection: LiveConnection, command: commands.Heartbeat) -> None:
    connection.beat_at = connection.heard_at


HANDLERS: Final[dict[type[commands.Command], Handler]] = {
    commands.Subscribe: _subscribe,
    commands.Unsubscribe: lambda node, connection, command: unsubscribe(
        connection, command, node.hub, node.writer, node.reaper
    ),
    commands.React: lambda node, connection, command: react(
        node.writer, connection.session, command
    ),
    commands.GetStorage: _get_storage,
    commands.SetStorage: lambda node, connection, command: set_storage(
        node.writer, connection.session, command
    ),
    commands.UpdateUmd: _update_umd,
    commands.Ping: lambda node, connection, command: connection.send_queue.push(events.PONG),
    commands.Pong: lambda node, connection, command: None,  # any frame shows that it is alive
    commands.Heartbeat: _heartbeat,
}


class FrameTooLarge(ProtocolError):
    """The frame ends its connection."""


def _about(frame: Frame) -> About:
    return frame.event, frame.channel, frame.ack


def _too_fast() -> ProtocolError:
    limit = settings.CLIENT_FRAMES_PER_SECOND
    sentence = f"More than {limit} frames a second; this frame was not handled."
    return ProtocolError(ErrorCode.RATE_LIMITED, sentence)


def _taken_from(waiting: deque[str | bytes]) -> Iterator[str | bytes]:
    while waiting:
        yield waiting.popleft()


def _log_closed(connection: LiveConnection, now: float, left_with: int) -> None:
    queue, code = connection.send_queue, connection.send_queue.close_code
    why = CLOSED.get(code, "") if code else LEFT.get(left_with, "the client left")
    if code == CloseCode.GOING_AWAY and connection.ends_at <= now:
        why = "it lasted as long as it may"
    fields = {
        "connection": connection.id,
        "uid": connection.session.uid,
        "code": code or left_with,
        "why": why,
        "seconds": round(now - connection.opened_at, 1),
        "frames_in": connection.frames,
        "bytes_in": queue.received,
        "frames_out": queue.frames,
        "bytes_out": queue.written,
    }
    log.info("Connection closed", fields)


async def close_connection(node: Node, connection: LiveConnection, left_with: int = LOST) -> None:
    """Ends its subscriptions here and in the database, whatever state it was in. `left_with`: the
    close code of its client, where the server has not closed it."""
    node.connections.remove(connection)
    if (code := connection.send_queue.close_code) is None:
        counts.left += 1
    else:
        counts.closes[code] += 1
    _log_closed(connection, node.loop.time(), left_with)
    if code in ABUSE:
        node.connections.bar((connection.address, connection.session.uid), CLOSED[code])
    channels = connection.channels() if listening() else connection.presence()
    for channel in connection.session.subscriptions:
        node.hub.unsubscribe(channel, connection.id)
    if not node.draining:  # else all rows go when the node stops
        await node.reaper.close(connection.id, channels, connection.members())

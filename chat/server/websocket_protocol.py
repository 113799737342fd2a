"""uvicorn's WebSocket with a short way in and out: whole text frames go to a callback as they come,
ready frames to the transport (design.md section 4, "Frames straight to the transport").

All else, from the handshake to the closing one, stays with the library's state machine: what is
not a whole, masked, unfragmented text frame is handed to it. Compression is off.
"""

import asyncio
import contextlib
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from websockets.frames import Frame, apply_mask  # type: ignore[attr-defined]
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State

from chat.fanout.send_queue import EXTENSION, Receiver, SendQueue
from chat.server.frame_parser import (
    HEADER_BYTES,
    MASKED,
    PING,
    PING_FRAME,
    PONG,
    PONG_TO_ALL,
    RESERVED_BITS,
    payload,
    take_texts,
    whole_texts,
)
from chat.server.http_protocol import FLUSH_SECONDS, WebSocket, websocket_log
from chat.server.stand_ins import ALWAYS, RUN_OUT, Door


class DirectWebSocket(WebSocket):
    """Until `open`, and once its end has begun, as any WebSocket of uvicorn's.

    In between it is as small as it can be: there may be many. The library's state machine comes
    back when a frame needs it.
    """

    # Also for what uvicorn's class keeps: a dictionary of so much takes 1.3 KB.
    __slots__ = (
        *("app", "app_state", "asgi_version", "client", "close_sent", "close_timeout"),
        *("close_timer", "config", "conn", "connections", "curr_msg_data_type"),
        *("default_headers", "disconnected", "frames", "handshake_complete"),
        *("handshake_initiated", "initial_response", "last_ping_rtt", "logger", "loop"),
        *("pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer"),
        *("pong_timer", "queue", "read_paused", "request", "response", "root_path", "scheme"),
        *("scope", "server", "tasks", "timer", "transport", "writable"),
        *("_fragmented", "_held_back", "_partial", "_short", "_unanswered", "_wanted"),
        *("send_queue", "receiver"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receiver: Receiver | None = None
        self.send_queue: SendQueue | None = None
        # Who hears the frames that take the short way in.
        self._short: Receiver | None = None
        # A frame of which the rest has not come, or all that waits; the size that it must reach.
        self._partial: bytearray | None = None
        self._wanted = 0
        self._fragmented = False  # a message of several frames has begun
        self._held_back = False  # until the frames before are handled
        self._unanswered = False  # a ping of ours is

    def __getattr__(self, name: str) -> Any:
        """The state machine of an open connection, where it was let go of."""
        if name != "conn":
            raise AttributeError(name, name=name, obj=self)
        size = self.config.ws_max_size
        conn: Any = Protocol(Side.SERVER, state=State.OPEN, max_size=size, logger=websocket_log)
        self.conn = conn
        return conn

    # --- from the handshake to the open connection ---------------------------------------------

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it has been refused
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), EXTENSION: self}  # type: ignore[dict-item]

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None:
        came_before = self.queue
        self.receiver, self.send_queue = receiver, send_queue
        self.queue = cast("asyncio.Queue[Any]", Door(self, receiver, send_queue))
        begun = bool(self.conn.reader.buffer)
        self._fragmented = self.conn.current_size is not None
        self._short = None if begun else receiver
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        while not came_before.empty():
            self.queue.put_nowait(came_before.get_nowait())
        del self.scope, self.request, self.response
        if not (begun or self._fragmented):
            self._end_parser()
            del self.conn
        self.client = self.server = None
        self.writable = ALWAYS
        if self.disconnected:
            self._let_go()

    async def run_asgi(self) -> None:
        """As uvicorn's, but an application that has opened the connection may return."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application")
            self.send_500_response()
        if self.receiver is None:
            if self.close_timer is None:
                self.transport.close()
            self._reset_in(FLUSH_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.receiver is not None:
            self._let_go()

    def _let_go(self) -> None:
        """Of all that refers to it: its memory is free at once, and does not wait for the collector
        to look through the whole process, which it does ever more rarely."""
        self.receiver = self.send_queue = None
        del self.queue

    def _end_parser(self) -> None:
        with contextlib.suppress(AttributeError):  # it was let go of
            object.__getattribute__(self, "conn").parser.close()

    def end(self) -> None:
        """From now on nothing that comes is heard, though it is read: bytes that nobody has read
        turn the end into a reset, which overtakes the close frame."""
        receiver, self._short = self._short, None
        if self._held_back:
            if receiver is not None and self._partial is not None and not self._fragmented:
                receiver.receive(whole_texts(bytes(self._partial)))
            self.resume_frames()
        self._reset_in(FLUSH_SECONDS)

    # --- out ------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        if self.send_queue is None:
            super().pause_writing()
        else:
            self.send_queue.pause()

    def resume_writing(self) -> None:
        if self.send_queue is None:
            super().resume_writing()
        else:
            self.send_queue.resume()

    def start_keepalive(self) -> None:
        """Nothing to start: it is pinged beside the others."""
        self.timer.cancel()
        self.timer = RUN_OUT

    def ping(self) -> bool:
        if self._held_back:
            return True  # its answer may be among what is not read meanwhile
        if self._unanswered:
            self.keepalive_timeout()
            return False
        if not self.close_sent and not self.transport.is_closing():
            self._unanswered = True
            self.transport.write(PING_FRAME)
        return self._unanswered

    def send_close(self, code: int, reason: str) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(code, reason)
            self._await_close()

    def abort(self) -> None:
        self._reset()

    # --- in -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        receiver, partial = self._short, self._partial
        if receiver is not None and partial is None:
            self._take(data, receiver)
        elif receiver is None:
            self._partial = None
            super().data_received(data if partial is None else bytes(partial) + data)
        elif partial is not None:
            partial += data
            if len(partial) >= self._wanted and not self._held_back:
                self._take_up(partial, receiver)

    def pause_frames(self) -> None:
        self._held_back = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_frames(self) -> None:
        self._held_back = False
        if not self.transport.is_closing():
            self.transport.resume_reading()
        partial, receiver = self._partial, self._short
        if partial is not None and receiver is not None and len(partial) >= self._wanted:
            self._take_up(partial, receiver)

    def send_receive_event_to_app(self) -> None:
        """A message that the library has put together: a fragmented or a binary one."""
        if self.receiver is None:
            super().send_receive_event_to_app()
            return
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text":
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self._refuse_text()
            else:
                self.receiver.receive((text,))
        else:
            self.receiver.receive((data,))

    def _take_up(self, partial: bytearray, receiver: Receiver) -> None:
        self._partial = None
        self._take(bytes(partial), receiver)

    def _take(self, data: bytes, receiver: Receiver) -> None:
        """Hears each frame that is whole; what is not is kept until its rest comes."""
        at, end = 0, len(data)
        while at < end:
            if self._short is None or self._held_back:
                self._keep(data[at:], 2)
                return
            texts: list[str] = []
            if not self._fragmented:
                at = take_texts(data, at, texts)
            if texts:
                receiver.receive(texts)
            else:
                at = self._take_other(data, at)

    def _take_other(self, data: bytes, at: int) -> int:
        """A frame that is not a whole text; gives where the next one begins."""
        if len(data) - at < 2:
            self._keep(data[at:], 2)
        elif data[at] & RESERVED_BITS or data[at + 1] < MASKED:
            self._hand_over(data[at:])  # is wrong, and the library says so
        else:
            start, stop = payload(data, at)
            if stop <= len(data):
                if data[at] == PONG:
                    self._unanswered = False
                elif data[at] == PING and stop - start < PONG_TO_ALL:
                    self._answer(apply_mask(data[start:stop], data[start - 4 : start]))
                else:
                    self._hand_over(data[at:stop])
                return stop
            if stop - at > self.config.ws_max_size + HEADER_BYTES:
                self._hand_over(data[at:])  # too long: it need not come
            else:
                self._keep(data[at:], stop - at)
        return len(data)

    def _answer(self, payload: bytes) -> None:
        self.transport.write(bytes((PONG, len(payload))) + payload)

    def handle_pong(self, event: Frame) -> None:
        self._unanswered = False

    def _keep(self, data: bytes, wanted: int) -> None:
        """Until `wanted` bytes are there, or reading goes on."""
        if self._short is not None:
            self._partial, self._wanted = bytearray(data), wanted
        else:
            super().data_received(data)

    def _hand_over(self, data: bytes) -> None:
        """Gives it to the library: whole frames, or one that ends the connection, behind the
        answers to those before."""
        if self.send_queue is not None:
            self.send_queue.flush(self.loop.time())
        super().data_received(data)
        self._fragmented = self.conn.current_size is not None

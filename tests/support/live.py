"""Connections of this process without a server: what they are sent is recorded."""

import asyncio
from typing import Any

from chat.fanout.send_queue import Flusher, Receiver, SendQueue
from chat.protocol.events import payloads
from chat.protocol.session import Session
from chat.runtime.connection import LiveConnection
from tests.support.written import new_id
from tokens.claims import parse_claims

CLAIMS = parse_claims(b'{"exp":4000000000,"scope":"connect"}', scope="connect")


class Recorder:
    """A socket whose client reads at once; `sent` is what it got, as ASGI would say it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    @property
    def transport(self) -> "Recorder":
        return self

    def write(self, data: bytes) -> None:
        for _, payload in payloads(data):
            self.sent.append({"type": "websocket.send", "text": payload.decode()})

    def get_write_buffer_size(self) -> int:
        return 0

    def send_close(self, code: int, reason: str) -> None:
        self.sent.append({"type": "websocket.close", "code": code, "reason": reason})

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None: ...
    def abort(self) -> None: ...
    def ping(self) -> bool:
        return True

    @property
    def received(self) -> int:
        return 0

    def pause_frames(self) -> None: ...
    def resume_frames(self) -> None: ...


class Immediately(SendQueue):
    """Writes each frame as it is pushed."""

    def push_frame(self, frame: bytes, number: int = 1) -> None:
        super().push_frame(frame, number)
        self.flush(self.flusher.now())


def recording() -> tuple[SendQueue, list[dict[str, Any]]]:
    recorder = Recorder()
    return Immediately(recorder, Flusher(asyncio.get_running_loop())), recorder.sent


def live(send_queue: SendQueue | None = None, **changes: Any) -> LiveConnection:
    session = changes.pop("session", None) or Session(changes.pop("id", new_id()), CLAIMS)
    now = asyncio.get_running_loop().time()
    times = {"ends_at": float("inf"), "heard_at": now, "beat_at": now}
    stated = {"address": "192.0.2.1", **times, **changes}
    return LiveConnection(session, send_queue or recording()[0], **stated)

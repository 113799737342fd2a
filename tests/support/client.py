"""A client for the wire tests: sends frames, receives frames, calls the client HTTP API.

Knows as little of the protocol as a frame's outer shape, so that no mistake of the server's is
made here again; each frame is held against docs/asyncapi.yaml, each answer against
docs/openapi.yaml. That nothing came is proved by the answer to a ping, never by waiting: the frames
of a connection are in order, and a frame is answered when the one before it has been handled.
Where the server is several processes (LINK_SECONDS), what they tell each other may take a moment.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support.calls import LIMIT_SECONDS, Answer, answer, compact, http_client
from tests.support.conversation import Conversation
from tests.support.disclosure import note
from tests.support.servers import Server

LINK_SECONDS = 0.0
PLACE = {"position": ANY, "epoch": ANY}  # what the data of each hotsock.subscribed say


class Frame(dict[str, Any]):
    """A frame of the server's, parsed; `text` is it as it came."""

    def __init__(self, text: str) -> None:
        super().__init__(json.loads(text))
        self.text = text


class Client:
    """A connection that has been accepted; `id` and `secret` are its credentials."""

    def __init__(self, server: Server, socket: ClientConnection) -> None:
        self.server = server
        self.socket = socket
        self._http: httpx.AsyncClient | None = None
        self._early: deque[Frame] = deque()
        self._conversation = Conversation()
        self.connected: Frame

    @property
    def id(self) -> str:
        id: str = self.connected["data"]["connectionId"]
        return id

    @property
    def secret(self) -> str:
        secret: str = self.connected["data"]["connectionSecret"]
        return secret

    # --- frames -----------------------------------------------------------------------------

    async def send(self, *frames: dict[str, Any] | str | bytes) -> None:
        """Objects are sent as compact JSON, text and bytes as they are."""
        for frame in frames:
            text = frame if isinstance(frame, str | bytes) else compact(frame)
            self._conversation.sent(frame, text)
            await self.socket.send(text)

    async def receive(self, event: str | None = None, *, limit: float = LIMIT_SECONDS) -> Frame:
        """The next frame, which must be an `event`; it must come within `limit` seconds."""
        frame = self._early.popleft() if self._early else await self._read(limit)
        assert event is None or frame["event"] == event, frame.text
        return frame

    async def _read(self, limit: float) -> Frame:
        text = await asyncio.wait_for(self.socket.recv(), limit)
        assert isinstance(text, str), "a frame of the server's is text (protocol.md section 6)"
        frame = Frame(text)
        self._conversation.received(frame)
        if frame["event"] == "hotsock.connected":
            note(frame["data"]["connectionSecret"])
        return frame

    async def settle(self) -> None:
        """Returns when all that was sent before has been handled; what came is kept."""
        await self.send({"event": "hotsock.ping"})
        while (frame := await self._read(LIMIT_SECONDS))["event"] != "hotsock.pong":
            self._early.append(frame)

    async def drain(self) -> list[Frame]:
        """All that has come and was not received yet, once all that was sent is handled."""
        await self.settle()
        if LINK_SECONDS:
            await asyncio.sleep(LINK_SECONDS)
            await self.settle()
        frames = list(self._early)
        self._early.clear()
        return frames

    async def until(self, data: Any) -> list[Frame]:
        """All that has come and was not received yet, and what comes, to the first with these
        data."""
        frames = [await self.receive()]
        while frames[-1].get("data") != data:
            frames.append(await self.receive())
        return frames

    async def nothing(self, *senders: Client) -> None:
        """Nothing has come, though what `senders` sent has been handled."""
        for sender in senders:
            await sender.settle()
        await asyncio.sleep(LINK_SECONDS)
        await self.send({"event": "hotsock.ping"})
        await self.receive("hotsock.pong")

    async def error(self, code: str, event: str | None, channel: str | None) -> None:
        """The next frame is `hotsock.error` with these and a sentence, and nothing else."""
        frame = await self.receive("hotsock.error")
        message = frame["error"].pop("message")
        assert message
        assert message[-1] == "."
        failed = {} if event is None else {"event": event}
        where = {} if channel is None else {"channel": channel}
        assert frame == {"event": "hotsock.error", **where, "error": {"code": code, **failed}}

    # --- what most tests do -----------------------------------------------------------------

    async def subscribe(self, channel: str, token: str | None = None) -> Frame:
        data = {} if token is None else {"data": {"token": token}}
        await self.send({"event": "hotsock.subscribe", "channel": channel, **data})
        return await self.receive("hotsock.subscribed")

    async def unsubscribe(self, channel: str) -> Frame:
        await self.send({"event": "hotsock.unsubscribe", "channel": channel})
        return await self.receive("hotsock.unsubscribed")

    async def publish(self, channel: str, data: Any = None, event: str = "chat") -> None:
        await self.send({"event": event, "channel": channel, "data": data})

    async def store(self, channel: str, data: Any = None, event: str = "chat") -> str:
        """Publishes over HTTP and gives the id; the message is stored by then."""
        body = {"channel": channel, "event": event, "data": data, "eagerIdGeneration": True}
        answer = await self.call("publishMessage", body)
        assert answer.status == 202, answer.text
        id: str = answer.json["id"]
        return id

    async def react(
        self, channel: str, message: str, reaction: str = "👍", action: str = "add"
    ) -> None:
        data = {"messageId": message, "reaction": reaction, "action": action}
        await self.send({"event": "hotsock.messageReaction", "channel": channel, "data": data})

    async def fill(self, channel: str, count: int, event: str = "chat") -> list[str]:
        """Publishes 0, 1, 2…, which must come back, and gives their ids."""
        for number in range(count):
            await self.publish(channel, number, event)
        return [(await self.receive(event))["id"] for _ in range(count)]

    async def history(self, channel: str, **body: Any) -> list[dict[str, Any]]:
        """One page of `listMessages`."""
        answer = await self.call("listMessages", {"channel": channel, **body})
        assert answer.status == 200, answer.text
        assert answer.json.keys() == {"messages"}
        messages: list[dict[str, Any]] = answer.json["messages"]
        return messages

    async def whole_history(self, channel: str) -> list[dict[str, Any]]:
        """Page by page, as clients do: until one is shorter than 100."""
        page = messages = await self.history(channel)
        while len(page) == 100:
            page = await self.history(channel, after=page[-1]["id"])
            messages = messages + page
        return messages

    async def reactions(self, channel: str, message: str) -> list[dict[str, Any]]:
        """What `listReactions` gives."""
        answer = await self.call("listReactions", {"channel": channel, "messageId": message})
        assert answer.status == 200, answer.text
        assert answer.json.keys() == {"reactions"}
        reactions: list[dict[str, Any]] = answer.json["reactions"]
        return reactions

    # --- HTTP -------------------------------------------------------------------------------

    async def call(
        self,
        operation: str,
        body: dict[str, Any] | str | bytes = "",
        *,
        id: str | None = None,
        secret: str | None = None,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Calls an operation of the client HTTP API, with this connection's credentials."""
        credentials = {"connectionId": id or self.id, "connectionSecret": secret or self.secret}
        if self._http is None:
            self._http = http_client(self.server)
        response = await self._http.request(
            method,
            f"/connection/{operation}?{urlencode(credentials)}",
            content=compact(body) if isinstance(body, dict) else body,
            headers=headers,
        )
        return answer(response)

    # --- ends -------------------------------------------------------------------------------

    async def closed(self, *, limit: float = LIMIT_SECONDS) -> tuple[int, str]:
        """The code and reason with which the server ends the connection; frames are skipped."""
        try:
            async with asyncio.timeout(limit):
                while True:
                    await self.socket.recv()
        except ConnectionClosed as closed:
            frame = closed.rcvd
            return (frame.code, frame.reason) if frame else (1006, "")

    def reset(self) -> None:
        """Ends the TCP connection with a reset: no close frame, no goodbye."""
        reset_transport(self.socket.transport)

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()
        await self.socket.close()


def reset_transport(transport: asyncio.WriteTransport) -> None:
    """Ends a TCP connection with RST."""
    at_once = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    transport.abort()


PAUSE_SECONDS = 0.02  # between two questions: who asks without one takes the time of who answers


async def eventually[T](condition: Callable[[], Awaitable[T]]) -> T:
    """What `condition` gives once that is true; each try asks the server anew."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (outcome := await condition()):  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(PAUSE_SECONDS)
    return outcome

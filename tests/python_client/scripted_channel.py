"""A chat server with one channel, whose network is the test: what it says waits on the wire until
the test delivers it, answers of history too. Numbers its changes and recovers (protocol.md section
19). As tests/js/client/scripted_channel.js."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosedError

MAX_REPLAYED = 40
PAGE = 100  # messages in an answer of history
Key = tuple[str, str]  # of a reaction: which, and whose


@dataclass
class Stored:
    id: str
    position: int
    reactions: list[Key] = field(default_factory=list)

    @property
    def on_wire(self) -> dict[str, Any]:
        return {"id": self.id, "event": "chat", "channel": "c", "data": "hi"}

    @property
    def listed(self) -> dict[str, Any]:
        reactions: dict[str, Any] = {}
        for reaction, uid in self.reactions:
            reactions.setdefault(reaction, {"items": []})["items"].append({"uid": uid})
        return {**self.on_wire, "position": self.position, "reactions": reactions}


class Socket:
    """A client's, open until it is cut."""

    def __init__(self, server: ScriptedChannel, id: str) -> None:
        self.id = id
        self.wire: deque[dict[str, Any]] = deque()
        self.is_cut = False
        self._server = server
        self._arrived: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        self._server.receive(self, json.loads(text))

    async def recv(self) -> str:
        text = await self._arrived.get()
        if text is None:
            raise ConnectionClosedError(None, None)
        return text

    async def close(self) -> None:
        self.cut()

    def say(self, frame: dict[str, Any]) -> None:
        self._arrived.put_nowait(json.dumps(frame))

    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.wire))):
            self.say(self.wire.popleft())

    def cut(self) -> None:
        """What is on its way is lost."""
        self._server.sockets.pop(self.id, None)
        self.wire.clear()
        if not self.is_cut:
            self._arrived.put_nowait(None)
        self.is_cut = True

    @property
    def is_quiet(self) -> bool:
        return not self.wire and self._arrived.empty()


class ScriptedChannel:
    def __init__(self) -> None:
        self.messages: list[Stored] = []
        self.sockets: dict[str, Socket] = {}  # that subscribe
        self.can_recover = True
        self._position = self._restored = 0  # what changed up to the latter is not known
        self._epoch = 1
        self._ids = 0
        self._changes: dict[tuple[str, ...], dict[str, Any]] = {}  # the last one of each thing

    def publish(self) -> None:
        message = Stored(self._next_id(), self._position + 1)
        self.messages.append(message)
        self._change(("message", message.id), message.on_wire)

    def whisper(self) -> None:
        """Not stored, and not numbered."""
        self._broadcast({"event": "is-typing", "channel": "c", "data": 1, "id": self._next_id()})

    def react(self, message: Stored, key: Key) -> None:
        action = "remove" if key in message.reactions else "add"
        event = "hotsock.messageReaction" + ("Removed" if action == "remove" else "Added")
        data = {"messageId": message.id, "reaction": key[0], "action": action}
        (message.reactions.remove if action == "remove" else message.reactions.append)(key)
        frame = {"event": event, "channel": "c", "data": data, "meta": {"uid": key[1], "umd": None}}
        self._change(("reaction", message.id, *key), frame)

    def delete(self, message: Stored) -> None:
        self.messages.remove(message)
        for key in [key for key in self._changes if key[1] == message.id]:
            del self._changes[key]
        data = {"messageId": message.id}
        frame = {"event": "hotsock.messageDeleted", "channel": "c", "data": data}
        self._change(("deletion", message.id), frame)

    def skip(self) -> None:
        """Members came or went."""
        self._position += 1

    def restore(self, messages: list[Stored]) -> None:
        """Only these are left, of an older state; numbers begin anew."""
        self.messages = messages
        for position, message in enumerate(messages, 1):
            message.position = position
        self._position = self._restored = len(messages)
        self._epoch += 1
        self._changes.clear()
        for socket in list(self.sockets.values()):
            socket.cut()

    def receive(self, socket: Socket, frame: dict[str, Any]) -> None:
        since = frame["data"]
        missed = self._missed(since["since"], since["epoch"])
        data = {"position": self._position, "epoch": str(self._epoch)}
        if since["since"] is not None:
            data |= {"recovered": missed is not None, "replayed": len(missed or [])}
        self.sockets[socket.id] = socket
        socket.wire.append({"event": "hotsock.subscribed", "channel": "c", "data": data})
        socket.wire.extend(missed or [])

    def list(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """A page as it is now."""
        if body.get("reverse"):
            found = self.messages[::-1]
        else:
            found = [each for each in self.messages if each.id > body.get("after", "")]
        return [message.listed for message in found[: body.get("limit", PAGE)]]

    def _missed(self, since: int | None, epoch: str | None) -> list[dict[str, Any]] | None:
        if since is None or epoch != str(self._epoch) or since < self._restored:
            return None
        if not self.can_recover:
            return None
        missed = [frame for frame in self._changes.values() if frame["position"] > since]
        return None if len(missed) > MAX_REPLAYED else missed

    def _next_id(self) -> str:
        self._ids += 1
        return f"01J{self._ids:023}"

    def _change(self, key: tuple[str, ...], frame: dict[str, Any]) -> None:
        self._position += 1
        self._changes.pop(key, None)
        self._changes[key] = {**frame, "position": self._position}
        self._broadcast(self._changes[key])

    def _broadcast(self, frame: dict[str, Any]) -> None:
        for socket in self.sockets.values():
            socket.wire.append(frame)

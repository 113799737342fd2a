"""Thousands of random frames: valid ones mutated, and pure noise. Seeded, so that a failure can be
had again. Afterwards the connection chats on, the server is no larger, and nobody else noticed."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.hostile.conftest import memory
from tests.support.calls import LIMIT_SECONDS, compact
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.grants import CHAT, room
from tests.support.servers import Server

FRAMES = {"unlimited": 10_000, "unlimited_daphne": 3_000, "unlimited_postgres": 3_000}
SEED = 20_261_124
AT_ONCE = 500  # so much is on its way before the client's answer to a ping, which is waited for
WARM_UP = 2_000  # after which caches and pools are as large as they get
MAX_GROWTH = 16 * 1024 * 1024
MAX_FRAME = 128 * 1024

PIECES = [
    *["\\u0000", "\\ud800", "\\udc00\\ud800", "\\", '"', "NaN", "-Infinity", "1e999", "9" * 400],
    *["[" * 200, "]" * 200, '{"a":' * 150, "null", "true", ",", ":", "{}", "\0", "\x7f", "\u2028"],
    *["hotsock.", "hotsock.subscribe", "#regex:.*", "*", "presence.x", "👍", "é", " " * 300],
]
EVENTS = ["chat", "typing", "hotsock.ping", "hotsock.subscribe", "hotsock.unsubscribe"]
EVENTS += [
    "hotsock.messageReaction",
    "hotsock.heartbeat",
    "hotsock.pong",
    "hotsock.nothing",
    "",
    "#",
]


class Attack:
    """Frames, one after another."""

    def __init__(self, seed: int, channel: str) -> None:
        self.random = random.Random(seed)
        self.channel = channel

    def frames(self, count: int) -> Iterator[str | bytes | list[bytes]]:
        kinds: list[Callable[[], str | bytes | list[bytes]]]
        kinds = [self.mutated, self.garbled, self.noise, self.binary, self.pieces]
        for kind in self.random.choices(kinds, weights=[40, 35, 15, 5, 5], k=count):
            frame = kind()
            size = len(frame.encode()) if isinstance(frame, str) else len(frame)
            yield frame if size <= MAX_FRAME else "too large: that would end the connection"

    def valid(self) -> dict[str, Any]:
        message = "01HF7YAT00ABCDEFGHJKMNPQRS"
        reaction = {"messageId": message, "reaction": "👍", "action": "add"}
        return self.random.choice(
            [
                {"event": "chat", "channel": self.channel, "data": "hi"},
                {"event": "typing", "channel": self.channel, "data": {"a": [1, {"b": None}]}},
                {"event": "hotsock.subscribe", "channel": f"{self.channel}-2", "data": {}},
                {"event": "hotsock.unsubscribe", "channel": f"{self.channel}-2"},
                {"event": "hotsock.messageReaction", "channel": self.channel, "data": reaction},
                {"event": "hotsock.ping"},
            ]
        )

    def mutated(self) -> str:
        """A valid frame with some values or names exchanged."""
        frame = self.valid()
        for _ in range(self.random.randint(0, 3)):
            target = self.random.choice([one for one in (frame, frame.get("data")) if one])
            if not isinstance(target, dict):
                continue
            name = self.random.choice([*target, "event", "channel", "data", "key", "token"])
            target[name] = self.value(2)
        if self.random.random() < 0.3:
            frame["event"] = self.random.choice(EVENTS)
        return compact(frame)

    def value(self, depth: int) -> Any:
        match self.random.randint(0, 8 if depth else 6):
            case 0:
                return None
            case 1:
                return self.random.choice([True, False])
            case 2:
                return self.random.randint(-(2**70), 2**70)
            case 3:
                return self.random.uniform(-1e300, 1e300)
            case 4:
                return self.text(self.random.choice([0, 1, 8, 130, 300, 40_000]))
            case 5:
                return self.channel
            case 6:
                return self.random.choice(EVENTS)
            case 7:
                return [self.value(depth - 1) for _ in range(self.random.randint(0, 4))]
        return {self.text(3): self.value(depth - 1) for _ in range(self.random.randint(0, 4))}

    def garbled(self) -> str:
        """A valid frame's text with pieces cut out, put in or put elsewhere."""
        text = json.dumps(self.valid(), ensure_ascii=self.random.random() < 0.5)
        for _ in range(self.random.randint(1, 4)):
            start, end = sorted(self.random.randint(0, len(text)) for _ in range(2))
            end = min(end, start + 12)
            piece = self.random.choice([*PIECES, text[start:end] * 3, self.text(2), ""])
            text = text[:start] + piece + text[end:]
        return text

    def noise(self) -> str:
        return self.text(self.random.choice([0, 1, 5, 50, 500, 20_000]))

    def text(self, length: int) -> str:
        """Any characters that can be sent: all but surrogates, often those that mean something."""
        marks = '{}[]",:\\\0\n 0123456789truefalsnE+-.👍\u2028é'
        few = self.random.choices(marks, k=length)
        if length > 500:
            return "".join(few)
        return "".join(mark if self.random.random() < 0.6 else self.character() for mark in few)

    def character(self) -> str:
        code = self.random.choice([0x7F, 0x7FF, 0xFFFF, 0x10FFFF])
        point = self.random.randint(0, code)
        return chr(point if not 0xD800 <= point < 0xE000 else 0x20)

    def binary(self) -> bytes:
        return self.random.randbytes(self.random.choice([0, 1, 10, 1000]))

    def pieces(self) -> list[bytes]:
        """A text frame in fragments, which may end within a character."""
        text = self.random.choice([self.mutated, self.garbled, self.noise])().encode()[:MAX_FRAME]
        cuts = sorted(self.random.randint(0, len(text)) for _ in range(self.random.randint(1, 5)))
        return [text[one:other] for one, other in zip([0, *cuts], [*cuts, len(text)], strict=True)]


async def send_all(client: Client, frames: Iterator[str | bytes | list[bytes]]) -> int:
    """Sends them while what comes back is read, and gives how many answers there were."""
    return sum([await send_some(client, some) for some in itertools.batched(frames, AT_ONCE)])


async def send_some(client: Client, frames: Iterable[str | bytes | list[bytes]]) -> int:

    async def send() -> None:
        for frame in frames:
            pieces = isinstance(frame, list)
            await client.socket.send(frame, text=True if pieces else None)
        await client.send({"event": "hotsock.pong", "data": "the last"}, LAST)

    sending = asyncio.create_task(send())
    answers = 0
    while (text := await asyncio.wait_for(client.socket.recv(), LIMIT_SECONDS)) != LAST_ANSWER:
        assert json.loads(text)["event"]
        answers += 1
    await sending
    return answers


LAST = '{"event":"hotsock.the-last"}'
LAST_ANSWER = (
    '{"event":"hotsock.error","error":{"code":"UNKNOWN_EVENT",'
    '"message":"There is no event \\"hotsock.the-last\\".","event":"hotsock.the-last"}}'
)


def granted(channel: str) -> dict[str, Any]:
    return {**room(channel), f"{channel}*": {"subscribe": True, "messages": CHAT}}


@pytest.mark.parametrize("attacked", FRAMES, indirect=True)
async def test_random_frames_harm_nobody(
    attacked: Server, channel: str, request: pytest.FixtureRequest
) -> None:
    """All kinds on each, drawn anew for each; most where it is seen what they leave in memory."""
    name = request.node.callspec.params["attacked"]
    frames, attack = FRAMES[name], Attack(SEED + list(FRAMES).index(name), channel)
    async with (
        subscribed(attacked, channel, uid="jim", channels=granted(channel)) as jim,
        subscribed(attacked, f"other-{channel}", uid="pam") as pam,
    ):
        await send_all(jim, attack.frames(WARM_UP))
        before = memory(attacked)
        assert await send_all(jim, attack.frames(frames)) > frames / 2
        if attacked.kind == "uvicorn":  # daphne knows no back-pressure (design.md section 5)
            assert memory(attacked) - before < MAX_GROWTH
        await pam.nothing()
        await chats(jim, channel)
        await chats(pam, f"other-{channel}")


async def chats(client: Client, channel: str) -> None:
    """Subscribed or not by now: it can be, and what it says comes back."""
    await client.send({"event": "hotsock.subscribe", "channel": channel})
    assert (await client.receive())["event"] in ("hotsock.subscribed", "hotsock.error")
    await client.publish(channel, "still here")
    assert (await client.receive("chat"))["data"] == "still here"

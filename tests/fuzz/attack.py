"""Inputs on the wire: each connection answers after them, or is closed with a code that fits."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

import h11

from tests.fuzz.check import (
    BROKEN,
    LAST,
    check_call_answer,
    check_refusal,
    check_texts,
    reference,
    require,
)
from tests.fuzz.generate import CREDENTIALS, MESSAGE, OWN, TOKENS, pieces
from tests.support.raw import CLOSE, Raw, frame, upgrade

LIMIT_SECONDS: Final = 20
TOO_SLOW: Final = 4410  # the fuzzer was busy elsewhere
PONG: Final = b'{"event":"hotsock.pong","data":"{}"}'
Read, Write = asyncio.StreamReader, asyncio.StreamWriter


class Attacker:
    """A WebSocket, opened again whenever it was closed, and HTTP calls with its credentials."""

    def __init__(self, port: int, number: int, counts: Counter[str]) -> None:
        self.port = port
        self.counts = counts
        self.kinds: dict[str, Callable[[list[bytes]], Awaitable[None]]] = {
            **{"text": self.text, "stream": self.stream, "call": self.call, "head": self.head}
        }
        self._own = b"fuzz-%03d" % number
        self._message = MESSAGE
        self._credentials = b""
        self._open: Raw | None = None
        self._http: tuple[Read, Write] | None = None

    async def attack(self, kind: str, inputs: list[bytes]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await self.kinds[kind](inputs)

    def _meant(self, data: bytes) -> bytes:
        """An input, meant for this connection."""
        data = data.replace(OWN, self._own).replace(MESSAGE, self._message)
        return data.replace(CREDENTIALS, self._credentials)

    async def _opened(self) -> Raw:
        if self._open is None:
            self._open = raw = Raw(*await asyncio.open_connection("127.0.0.1", self.port))
            raw.send(upgrade(TOKENS[0].decode()))
            await raw.accepted()
            proof = {"connectionId": raw.id, "connectionSecret": raw.secret}
            self._credentials = urlencode(proof).encode()
            own = {"channel": self._own.decode()}
            raw.send(frame({"event": "hotsock.subscribe", **own}), frame({"event": "chat", **own}))
            while (said := await raw.receive())["event"] != "chat":
                pass  # what is stored, too
            self._message = said["id"].encode()
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.leave()
        if self._http is not None:
            self._http[1].transport.abort()
        self._open = self._http = None

    async def _answers(self, raw: Raw) -> tuple[list[bytes], int | None]:
        """What comes until all that was sent is answered, without pongs, and the code of a close
        frame that comes instead."""
        raw.send(LAST)
        answers: list[bytes] = []
        while True:
            opcode, payload = await raw.read()
            if opcode == CLOSE:
                self._open = None
                raw.send(frame(payload, CLOSE))
                raw.leave()
                return answers, int.from_bytes(payload[:2])
            if answers and payload == PONG and b'"hotsock.the-last"' in answers[-1]:
                return answers[:-1], None
            if opcode == 1:
                answers.append(payload)

    # --- the kinds ------------------------------------------------------------------------------

    async def text(self, inputs: list[bytes]) -> None:
        raw, sent = await self._opened(), [*map(self._meant, inputs)]
        raw.send(*map(frame, sent))
        answers, closed = await self._answers(raw)
        if closed is not None:
            self.counts[f"text: closed {closed}"] += 1
            require(closed == TOO_SLOW, "closed with", closed)
            return
        codes = check_texts(sent, answers)
        self.counts.update(f"text: {code}" for code in codes)
        self.counts["text: not refused"] += len(sent) - len(codes)

    async def stream(self, inputs: list[bytes]) -> None:
        for data in map(self._meant, inputs):
            raw = await self._opened()
            for piece in pieces(data):
                raw.send(piece)
                await asyncio.sleep(0)
            messages, expected = reference(data + LAST)
            if expected is None and messages[-1:] != [b'{"event":"hotsock.ping"}']:
                self.counts["stream: not whole"] += 1  # it waits for more than will come
                self.close()
                continue
            _, closed = await self._answers(raw)
            fits = closed in BROKEN if expected else expected == 0 or closed in (None, TOO_SLOW)
            require(fits, f"closed with {closed}, not {expected}")
            self.counts[f"stream: closed {closed if expected else expected}"] += 1

    async def call(self, inputs: list[bytes]) -> None:
        await self._opened()
        left = [*map(self._meant, inputs)]
        while left:
            if self._http is None:
                self._http = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self._http
            writer.write(b"".join(left))
            while left and self._http is not None:
                status, head, body = await _response(reader, left[0])
                self.counts[f"call: {check_call_answer(left.pop(0), status, body)}"] += 1
                if b"\r\nconnection: close" in head:
                    writer.transport.abort()
                    self._http = None

    async def head(self, inputs: list[bytes]) -> None:
        for data in map(self._meant, inputs):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for piece in pieces(data):
                writer.write(piece)
                await asyncio.sleep(0)
            answer = "not whole"
            if _is_whole(data):
                try:
                    status, head, body = await _response(reader, data)
                    require(status < 500, status, body[:300])
                    answer = str(status)
                    if status > 399 and b"\r\ncontent-type: application/json" in head and body:
                        answer += f" {check_refusal(json.loads(body)['error'])}"
                except (asyncio.IncompleteReadError, ConnectionError):
                    answer = "closed"
            self.counts[f"head: {answer}"] += 1
            writer.transport.abort()


async def _response(reader: Read, request: bytes) -> tuple[int, bytes, bytes]:
    """The status, the head in lower case and the body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    _, found, length = head.partition(b"\r\ncontent-length: ")
    if status in (101, 204, 304) or request.startswith(b"HEAD "):
        return status, head, b""
    if found:
        return status, head, await reader.readexactly(int(length.partition(b"\r\n")[0]))
    if b"\r\ntransfer-encoding: chunked" not in head:
        return status, head, await reader.read()
    body, size = b"", 1
    while size:
        size = int(await reader.readline(), 16)
        body += (await reader.readexactly(size + 2))[:size]
    return status, head, body


def _is_whole(data: bytes) -> bool:
    """Whether an HTTP parser sees a whole request or an error in it: then an answer is due."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=128 * 1024)
    parser.receive_data(data)
    try:
        while (event := parser.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.EndOfMessage):
                return True
    except h11.RemoteProtocolError:
        return True
    return False

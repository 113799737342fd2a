"""Inputs on the wire: each connection answers after them, or is closed with a code that fits."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlencode

import h11

from tests.fuzz.check import (
    BROKEN,
    LAST,
    LAST_TEXTS,
    check_call_answer,
    check_refusal,
    check_texts,
    reference,
    require,
)
from tests.fuzz.generate import CREDENTIALS, MESSAGE, OWN, TOKENS, pieces
from tests.support.raw import CLOSE, PING, PONG, TEXT, Raw, frame, upgrade

LIMIT_SECONDS: Final = 20
PAUSE_SECONDS: Final = 0.002  # between pieces: the server may answer what has come
TOO_SLOW: Final = 4410  # the fuzzer was busy elsewhere


class Attacker:
    """A WebSocket, opened again whenever it was closed, and HTTP calls with its credentials."""

    def __init__(self, port: int, number: int, counts: Counter[str]) -> None:
        self._port = port
        self._counts = counts
        self._raw: Raw | None = None
        self._meanings = {OWN: b"fuzz-%03d" % number}
        self._kinds = {
            **{"text": self._text, "stream": self._stream, "call": self._call, "head": self._head}
        }

    async def attack(self, kind: str, inputs: list[bytes]) -> None:
        """Raises whatever shows that something is wrong."""
        async with asyncio.timeout(LIMIT_SECONDS):
            raw = self._raw or await self._opened()
            for placeholder, meant in self._meanings.items():
                inputs = [each.replace(placeholder, meant) for each in inputs]
            await self._kinds[kind](raw, inputs)

    async def _opened(self) -> Raw:
        self._raw = raw = Raw(*await asyncio.open_connection("127.0.0.1", self._port))
        raw.send(upgrade(TOKENS[0].decode()))
        await raw.accepted()
        own = {"channel": self._meanings[OWN].decode()}
        raw.send(frame({"event": "hotsock.subscribe", **own}), frame({"event": "chat", **own}))
        while (said := await raw.receive())["event"] != "chat":
            pass  # what is stored, too
        self._meanings[MESSAGE] = said["id"].encode()
        proof = {"connectionId": raw.id, "connectionSecret": raw.secret}
        self._meanings[CREDENTIALS] = urlencode(proof).encode()
        return raw

    def close(self) -> None:
        if self._raw is not None:
            self._raw.leave()
            self._raw = None

    async def _answers(self, raw: Raw) -> tuple[list[bytes], int | None]:
        """What comes until all that was sent is answered, without pongs; and the code of a close
        frame that comes instead."""
        raw.send(LAST)
        answers: list[bytes] = []
        while True:
            opcode, payload = await raw.read()
            if opcode == CLOSE:
                raw.send(frame(payload, CLOSE))
                self.close()
                return answers, int.from_bytes(payload[:2])
            if opcode == PING:
                raw.send(frame(payload, PONG))
            if opcode == TEXT:
                answers.append(payload)
                if b'"hotsock.pong"' in payload and b'"hotsock.the-last"' in answers[-2:][0]:
                    return answers[:-2], None

    async def _text(self, raw: Raw, inputs: list[bytes]) -> None:
        """Frames that are all answered."""
        raw.send(*map(frame, inputs))
        answers, closed = await self._answers(raw)
        require(closed in (None, TOO_SLOW), "closed with", closed)
        codes = check_texts(inputs, answers) if closed is None else ["closed"]
        self._counts.update(f"text: {code}" for code in codes)
        self._counts["text: not refused"] += len(inputs) - len(codes)

    async def _stream(self, raw: Raw, inputs: list[bytes]) -> None:
        """Bytes that may end the connection."""
        for data in inputs:
            raw = self._raw or await self._opened()
            for piece in pieces(data):
                raw.send(piece)
                await asyncio.sleep(PAUSE_SECONDS)
            messages, expected = reference(data + LAST)
            if expected is None and messages[-2:] != LAST_TEXTS:
                self._counts["stream: not whole"] += 1  # the server waits for more than will come
                self.close()
                continue
            try:
                _, closed = await self._answers(raw)
            except (ConnectionError, asyncio.IncompleteReadError):
                closed = 1006  # for who sends on behind a close frame
                self.close()
            fits = closed in BROKEN if expected else expected == 0 or closed in (None, TOO_SLOW)
            require(fits, f"closed with {closed}, not {expected}")
            self._counts[f"stream: closed with {closed if expected else expected}"] += 1

    async def _call(self, raw: Raw, inputs: list[bytes]) -> None:
        """Requests one behind the other, on a connection that the server may close after any."""
        left, together = inputs.copy(), len(inputs)
        while left:
            async with self._asked(b"".join(left[:together])) as reader:
                try:
                    for each in left[:together]:
                        status, head, body = await response(reader, each)
                        self._counts[f"call: {check_call_answer(each, status, body)}"] += 1
                        left.remove(each)
                        if b"\r\nconnection: close" in head:
                            break
                except (ConnectionError, asyncio.IncompleteReadError):
                    require(together > 1, "no answer")
                    together = 1  # a connection closed with bytes unread may lose an answer

    async def _head(self, raw: Raw, inputs: list[bytes]) -> None:
        """What may be no request at all."""
        for data in inputs:
            answer = "not whole"
            async with self._asked(data) as reader:
                if is_whole(data):
                    try:
                        status, head, body = await response(reader, data)
                    except (asyncio.IncompleteReadError, ConnectionError):
                        status, head, body = 0, b"", b""
                    require(status < 500, status, body[:300])
                    answer = str(status or "closed")
                    if status > 399 and b"\r\ncontent-type: application/json" in head and body:
                        answer += f" {check_refusal(json.loads(body)['error'])}"
            self._counts[f"head: {answer}"] += 1

    @asynccontextmanager
    async def _asked(self, data: bytes) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for piece in pieces(data):
                if not writer.is_closing():
                    writer.write(piece)
                    await asyncio.sleep(PAUSE_SECONDS)
            yield reader
        finally:
            writer.transport.abort()


async def response(reader: asyncio.StreamReader, request: bytes) -> tuple[int, bytes, bytes]:
    """The status, the head in lower case and the body of the next answer, decompressed."""
    head = b""
    while head[9:12] in (b"", b"100"):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, (_, found, length) = int(head[9:12]), head.partition(b"\r\ncontent-length: ")
    if status in (101, 204, 304) or request.startswith(b"HEAD "):
        return status, head, b""
    body, size = b"", 1
    if found:
        body = await reader.readexactly(int(length.partition(b"\r\n")[0]))
    elif b"\r\ntransfer-encoding: chunked" not in head:
        body = await reader.read()
    else:
        while size:
            size = int(await reader.readline(), 16)
            body += (await reader.readexactly(size + 2))[:size]
    gzipped = b"\r\ncontent-encoding: gzip\r\n" in head
    return status, head, gzip.decompress(body) if gzipped else body


def is_whole(data: bytes) -> bool:
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

"""A process of its own that floods a server: what an attack costs must not delay those who are
measured. It reads one line of JSON, and says at its end how often it was let in and how much it
sent. Without imports of ours, so that it starts in no time.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from typing import Any

CLOSE_FRAME = 0x88  # in what a flood is answered this byte occurs nowhere else
NICER = 5  # than those who are measured


async def flood(asked: dict[str, Any], handshake: str, done: Counter[str]) -> None:
    """One client, again and again until its time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", asked["port"])
    try:
        writer.write(handshake.encode())
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 "):
            done["refused"] += 1
            return
        done["let in"] += 1
        writer.write(bytes.fromhex(asked["first"]))
        sending = [asyncio.create_task(send(writer, bytes.fromhex(asked["again"]), done))]
        if asked["reads"]:
            sending.append(asyncio.create_task(discard(reader)))
        try:
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
    finally:
        writer.transport.abort()


async def send(writer: asyncio.StreamWriter, again: bytes, done: Counter[str]) -> None:
    while True:
        writer.write(again)
        await writer.drain()
        done["sent"] += len(again)


async def discard(reader: asyncio.StreamReader) -> None:
    """Until the server closes."""
    while read := await reader.read(65536):
        if CLOSE_FRAME in read:
            return


async def main() -> None:
    asked = json.loads(sys.stdin.readline())
    os.nice(NICER)
    done: Counter[str] = Counter()

    async def again_and_again(handshake: str) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await flood(asked, handshake, done)

    clients = [asyncio.create_task(again_and_again(each)) for each in asked["handshakes"]]
    await asyncio.wait(clients, timeout=asked["seconds"])
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    print(json.dumps(done))


asyncio.run(main())

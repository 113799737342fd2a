"""Answers that nobody reads: few are under way for a connection, and none for ever (design.md
section 4, "Bodies and answers")."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from select import select

import pytest

from tests.hostile.attack import FULL, SECONDS, unaffected
from tests.hostile.test_bodies import head, length, operation
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.servers import Server

KIB = 1024
ATTACKERS = 150 if FULL else 30
PAGE = 100
MAX_GROWTH_OF_PAGES = 30_000_000  # two pages, each as rows, as text and as what is unsent
DATA = "x" * 31 * KIB


@pytest.fixture
async def jim(attacked_uvicorn: Server, channel: str) -> AsyncIterator[Client]:
    """Whose channel has a page of 3 MB."""
    grants = room(channel, {"page": {"publish": True, "store": 60}}, historyStart=0)
    async with subscribed(attacked_uvicorn, channel, uid=f"jim-{channel}", channels=grants) as jim:
        await asyncio.gather(*(jim.store(channel, DATA, "page") for _ in range(PAGE)))
        yield jim


def unread(jim: Client, request: bytes) -> socket.socket:
    """A connection on which a page was asked for."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * KIB)
    asking.connect(("127.0.0.1", jim.server.port))
    asking.sendall(request)
    return asking


def page(jim: Client, channel: str) -> bytes:
    body = json.dumps({"channel": channel}).encode()
    return head(operation(jim, "listMessages"), length(len(body))) + body


async def test_unread_pages_cost_the_others_nothing(jim: Client, channel: str) -> None:
    await jim.history(channel)  # what making a page takes, the server keeps
    with ExitStack() as stack:
        async with unaffected(jim.server, MAX_GROWTH_OF_PAGES):
            for _ in range(ATTACKERS):
                stack.enter_context(unread(jim, page(jim, channel)))
                await asyncio.sleep(0)
            await asyncio.sleep(SECONDS)


async def test_ten_calls_at_once_are_all_answered(jim: Client, channel: str) -> None:
    pages = await asyncio.gather(*(jim.history(channel) for _ in range(10)))
    assert [len(messages) for messages in pages] == [PAGE] * 10


async def test_calls_wait_until_unread_answers_are_given_up(jim: Client, channel: str) -> None:
    """Those for pages; others come at once, up to two."""
    with ExitStack() as stack:
        asking = [stack.enter_context(unread(jim, page(jim, channel))) for _ in range(2)]
        begun = [each.recv(12) for each in asking]
        assert begun == [b"HTTP/1.1 200"] * 2
        waiting = asyncio.create_task(jim.history(channel))
        published = await jim.call("publishMessage", {"channel": channel, "event": "page"})
        assert published.status == 202
        assert not waiting.done()
        assert len(await waiting) == PAGE
        rests = [sum(map(len, iter(partial(each.recv, 64 * KIB), b""))) for each in asking]
        assert min(rests) < PAGE * len(DATA)  # the other may have had a moment more


async def test_the_line_of_waiting_calls_is_bounded(jim: Client, channel: str) -> None:
    """Two pages are sent, a hundred wait."""
    with ExitStack() as stack:
        asking = [stack.enter_context(unread(jim, page(jim, channel))) for _ in range(103)]
        begun: dict[socket.socket, bytes] = {}
        while len(begun) < 3:
            ready, _, _ = select(set(asking) - begun.keys(), (), (), 5)
            assert ready
            begun |= {each: each.recv(12) for each in ready}
    assert sorted(begun.values()) == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 429"]

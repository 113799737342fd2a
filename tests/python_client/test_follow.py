"""The Python client follows a channel of the real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from chatsite_client import AsyncClient, Deletion, Event, Follow, Message, Reaction, Refused
from chatsite_client.connection import Connection
from tests.support.grants import STORED
from tests.support.servers import Server, token
from tests.support.waiting import PATIENCE_SECONDS, until

READER = {"subscribe": True, "historyStart": 0}


@pytest.fixture
async def client(server: Server, channel: str) -> AsyncIterator[AsyncClient]:
    async with following(server, {channel: READER}) as client:
        yield client


def following(server: Server, channels: dict[str, Any]) -> AsyncClient:
    def give() -> str:
        return token(server, uid="reader", channels=channels)

    return AsyncClient(server.url, server.env["API_SECRET_KEY_1"], token=give)


async def take(follow: Follow, count: int, found: list[Any] | None = None) -> list[Any]:
    """The next ones, with all that became of them; in `found` as they come."""
    found = [] if found is None else found
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(follow.events()) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


async def publish(client: AsyncClient, channel: str, count: int) -> list[str]:
    places = asyncio.Semaphore(10)

    async def send(number: int) -> str:
        async with places:
            return str((await client.publish(channel, "chat", number, store=-1)).id)

    return sorted(await asyncio.gather(*map(send, range(count))))


async def test_through_history_then_live_then_recovered(
    client: AsyncClient, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await publish(client, channel, 115)
    since = {"position": 10**6, "epoch": "of another time", "id": ids[3]}
    follow = client.follow(channel, since=since)
    assert [message.id for message in await take(follow, 111)] == ids[4:]
    saved = follow.position
    assert saved is not None
    assert (saved["id"], saved["position"]) == (ids[-1], 115)

    monkeypatch.delattr(Connection, "history")
    news = await publish(client, channel, 30)
    assert [message.id for message in await take(follow, 30)] == news
    again = client.follow(channel, since=follow.position, event="other")
    other = await client.publish(channel, "other", {"n": [1]}, store=60)
    assert await take(again, 1) == [
        Message(str(other.id), "other", channel, {"n": [1]}, again.position["position"])
    ]


async def test_the_newest_and_what_becomes_of_them(client: AsyncClient, channel: str) -> None:
    ids = await publish(client, channel, 5)
    follow = client.follow(channel, limit=2)
    found: list[Event] = []
    taking = asyncio.create_task(take(follow, 5, found))
    await until(lambda: len(found) == 2, "the newest")
    await client.react(channel, ids[4], "👍", "ada", umd=7)
    await client.react(channel, ids[4], "👍", "ada", action="remove")
    await client.publish(channel, "typing", 1)
    await client.delete_message(channel, ids[0])
    first, second, *rest = await taking
    assert [first.id, second.id] == ids[3:]
    assert rest == [
        Reaction(ids[4], "👍", "add", "ada", 7),
        Reaction(ids[4], "👍", "remove", "ada"),
        Deletion(ids[0]),
    ]


async def test_by_an_alias(client: AsyncClient, server: Server, channel: str) -> None:
    ids = await publish(client, channel, 1)
    async with following(server, {channel: {**READER, "alias": "mine"}}) as other:
        [message] = await take(other.follow("mine"), 1)
    assert (message.id, message.channel) == (ids[0], channel)


@pytest.mark.parametrize(
    ("directives", "code"),
    [
        ({"messages": {"chat": STORED}}, "SUBSCRIBE_PERMISSION_DENIED"),
        ({**READER, "autoSubscribe": True}, "ALREADY_SUBSCRIBED"),
    ],
)
async def test_a_channel_that_refuses(
    server: Server, channel: str, directives: dict[str, Any], code: str
) -> None:
    async with following(server, {channel: directives}) as client:
        with pytest.raises(Refused, match=code):
            await take(client.follow(channel), 1)


async def test_a_token_that_is_refused_again_and_again(server: Server, channel: str) -> None:
    given: list[str] = []

    def give() -> str:
        given.append(token(server, exp=1))
        return given[-1]

    async with AsyncClient(server.url, token=give) as client:
        with pytest.raises(Refused) as caught:
            await take(client.follow(channel), 1)
    assert (caught.value.status, len(given)) == (401, 5)
    assert given[0] not in str(caught.value)


async def test_a_token_function_that_fails_again_and_again(server: Server, channel: str) -> None:
    async def give() -> str:
        raise LookupError("no key")

    async with AsyncClient(server.url, token=give) as client:
        with pytest.raises(LookupError, match="no key"):
            await take(client.follow(channel), 1)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 101},
        {"limit": -1},
        {"since": {"position": 1}},
        {"since": {"position": "1", "epoch": "e"}},
        {"since": {"id": 7}},
        {"since": {"position": True, "epoch": "e"}},
    ],
)
def test_mistakes(client: AsyncClient, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        client.follow("c", **options)


def test_it_needs_a_token(server: Server) -> None:
    with pytest.raises(TypeError, match="token"):
        AsyncClient(server.url, "key").follow("c")

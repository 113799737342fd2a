"""What is left after kill -9 of the server (protocol.md section 6 rule 7, section 8; P1, P5).

One crash in the middle of a busy channel for each server; the tests look at what followed it.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.client import Client, eventually
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import STORED, room
from tests.support.kinds import handshake_status
from tests.support.servers import SHORT_LEASE, Server, start_server, token
from tests.support.stored import rows, rows_of

CHANNEL = "crash"
PUBLISHERS = 4
CHANNELS = room(
    CHANNEL, {"chat": STORED, "hotsock.messageReaction": {"echo": True}}, historyStart=0
)


@dataclass
class Aftermath:
    """A server that was killed and started again, and what its clients had been told before."""

    server: Server
    once: str  # a token that could be used once, and was
    epoch: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)  # by a subscriber, in this order
    answered: list[str] = field(default_factory=list)  # ids that HTTP answers named
    echoed: list[str] = field(default_factory=list)  # ids of copies that publishers got
    reactions: list[dict[str, Any]] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    busy: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self) -> None:
        """Whether enough of everything has happened for a crash to be worth it."""
        if len(self.seen) >= 120 and len(self.answered) >= 5 and len(self.reactions) >= 3:
            self.busy.set()


@pytest.fixture(scope="module", params=["uvicorn", "daphne", "postgres"])
def aftermath(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Aftermath]:
    kind, env = request.param, {}
    if kind == "postgres":
        kind, env = "uvicorn", {"DATABASE_URL": request.getfixturevalue("postgres").database()}
    with start_server(kind, tmp_path_factory.mktemp("crash"), **env, **SHORT_LEASE) as server:
        once = token(
            server, singleUse=True, jti=secrets.token_hex(8), uid="watcher", channels=CHANNELS
        )
        after = Aftermath(server, once)
        asyncio.run(crash(after))
        yield after


async def crash(after: Aftermath) -> None:
    """Publishers over the socket and over HTTP, and a watcher; killed while all are busy."""
    watcher = await open_client(after.server, after.once)
    after.epoch = (await watcher.subscribe(CHANNEL))["data"]["epoch"]
    publishers = [
        await open_client(after.server, token(after.server, uid=f"p{number}", channels=CHANNELS))
        for number in range(PUBLISHERS)
    ]
    for publisher in publishers:
        await publisher.subscribe(CHANNEL)
    work = [
        watch(watcher, after),
        *(stream(publisher) for publisher in publishers[1:]),
        *(record_echoes(publisher, after) for publisher in publishers),
        call(publishers[0], after),
    ]
    working = [asyncio.create_task(each) for each in work]
    async with asyncio.timeout(30):
        await after.busy.wait()
    after.server.kill()
    await asyncio.gather(*working)
    after.clients = [watcher, *publishers]
    await asyncio.gather(*(client.aclose() for client in after.clients))
    for client in after.clients:
        client._http = None  # it belonged to this event loop
    after.server.restart()


async def watch(client: Client, after: Aftermath) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            frame = await client.receive()
            if frame["event"] == "chat":
                after.seen.append(frame)
                if len(after.seen) % 10 == 0:
                    await client.react(CHANNEL, frame["id"])
            else:
                after.reactions.append(frame)
            after.note()


async def stream(client: Client) -> None:
    with contextlib.suppress(ConnectionClosed):
        for number in range(800):
            await client.publish(CHANNEL, number)


async def record_echoes(client: Client, after: Aftermath) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            frame = await client.receive()
            if frame["meta"]["uid"] == client.connected["meta"]["uid"]:
                after.echoed.append(frame["id"])


async def call(client: Client, after: Aftermath) -> None:
    with contextlib.suppress(httpx.TransportError):
        while True:
            after.answered.append(await client.store(CHANNEL, "over HTTP"))
            after.note()


@pytest.fixture
async def reader(aftermath: Aftermath) -> AsyncIterator[Client]:
    """Whoever comes back: subscribed at once."""
    async with subscribed(aftermath.server, CHANNEL, uid="reader", channels=CHANNELS) as client:
        yield client


async def test_what_was_acknowledged_is_in_history(aftermath: Aftermath, reader: Client) -> None:
    """What anyone saw, in the order seen; every answer's and every copy's id."""
    history = await reader.whole_history(CHANNEL)
    ids = [message["id"] for message in history]
    assert aftermath.seen
    assert aftermath.answered
    assert aftermath.echoed
    for message in history:
        message.pop("reactions", None)
    assert history[: len(aftermath.seen)] == aftermath.seen
    assert set(aftermath.answered) <= set(ids)
    assert set(aftermath.echoed) <= set(ids)


async def test_reactions_that_were_seen_are_kept(aftermath: Aftermath, reader: Client) -> None:
    assert aftermath.reactions
    for frame in aftermath.reactions:
        listing = {"channel": CHANNEL, "messageId": frame["data"]["messageId"]}
        answered = await reader.call("listReactions", listing)
        kept = {"reaction": frame["data"]["reaction"], "uid": frame["meta"]["uid"]}
        assert kept in answered.json["reactions"]


async def test_each_publishers_messages_are_a_beginning_of_what_it_sent(
    aftermath: Aftermath, reader: Client
) -> None:
    """Nothing half-stored, none twice, none missing in between."""
    history = await reader.whole_history(CHANNEL)
    ids = [message["id"] for message in history]
    assert ids == sorted(set(ids))
    for uid in (f"p{number}" for number in range(1, PUBLISHERS)):
        numbers = [row["data"] for row in history if row["meta"]["uid"] == uid]
        assert numbers == list(range(len(numbers)))


async def test_whoever_was_cut_off_recovers(aftermath: Aftermath, reader: Client) -> None:
    """What was committed and not seen, too."""
    since = aftermath.seen[-100]["position"]
    missed = [row for row in await reader.whole_history(CHANNEL) if row["position"] > since]
    async with connect(aftermath.server, uid="back", channels=CHANNELS) as client:
        data = {"since": since, "epoch": aftermath.epoch}
        await client.send({"event": "hotsock.subscribe", "channel": CHANNEL, "data": data})
        said = (await client.receive("hotsock.subscribed"))["data"]
        assert said["recovered"]
        frames = [await client.receive() for _ in range(said["replayed"])]
        for message in missed:
            message.pop("reactions", None)
        assert [frame for frame in frames if frame["event"] == "chat"] == missed


async def test_it_goes_on_at_once(aftermath: Aftermath, reader: Client) -> None:
    """New ids are above the old ones."""
    last = (await reader.history(CHANNEL, reverse=True))[0]["id"]
    await reader.publish(CHANNEL, "after the crash", "chat")
    frame = await reader.receive("chat")
    assert frame["id"] > last
    assert (await reader.history(CHANNEL, reverse=True))[0] == frame


async def test_no_stale_rows_are_left(aftermath: Aftermath, reader: Client) -> None:
    async def gone() -> bool:
        left = sum(rows_of(aftermath.server, client.id) for client in aftermath.clients)
        return not left and len(rows(aftermath.server, "SELECT id FROM chat_node")) == 1

    await eventually(gone)
    assert rows_of(aftermath.server, reader.id) == 2


async def test_the_old_secrets_do_not_work(aftermath: Aftermath, reader: Client) -> None:
    for old in aftermath.clients:
        refused = await reader.call(
            "listMessages", {"channel": CHANNEL}, id=old.id, secret=old.secret
        )
        assert refused.refusal == (401, "INVALID_CONNECTION")


async def test_a_token_that_was_used_once_stays_used(aftermath: Aftermath) -> None:
    with pytest.raises(Refused) as refused:
        await open_client(aftermath.server, aftermath.once)
    assert refused.value.status == handshake_status(aftermath.server, 401)

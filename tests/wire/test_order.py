"""One order for all, nothing missing, nothing twice (protocol.md sections 7 and 8; P2 to P4)."""

import asyncio
import json
from collections import Counter
from typing import Any

from tests.support.client import Client
from tests.support.connecting import connect, open_client, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server, token


async def test_all_see_one_order_which_is_historys(every_server: Server, channel: str) -> None:
    """Three publishers at once, 200 stored messages each with one that is not stored behind every
    fourth, and three subscribers."""
    count = 200
    messages = {"chat": {"publish": True, "store": -1}, "typing": {"publish": True}}
    channels = room(channel, messages, historyStart=0)
    async with (
        connect(every_server, uid="a", channels=channels) as a,
        connect(every_server, uid="b", channels=channels) as b,
        connect(every_server, uid="c", channels=channels) as c,
        connect(every_server, channels=channels) as one,
        connect(every_server, channels=channels) as two,
        connect(every_server, channels=channels) as three,
    ):
        publishers, subscribers = (a, b, c), (one, two, three)
        for client in publishers + subscribers:
            await client.subscribe(channel)

        async def publish(client: Client) -> None:
            for number in range(count):
                await client.publish(channel, number)
                if number % 4 == 3:
                    await client.publish(channel, number, "typing")

        async def record(client: Client) -> list[Any]:
            return [await client.receive() for _ in range(3 * count * 5 // 4)]

        recorded = [asyncio.create_task(record(client)) for client in subscribers]
        await asyncio.gather(*(publish(client) for client in publishers))
        seen = await asyncio.gather(*recorded)
        for client in subscribers:
            await client.nothing()
        history = await one.whole_history(channel)

    assert Counter(frame["meta"]["uid"] for frame in history) == {
        "a": count,
        "b": count,
        "c": count,
    }
    ids = [frame["id"] for frame in history]
    assert ids == sorted(set(ids))
    for frames in seen:
        assert [frame for frame in frames if frame["event"] == "chat"] == history
        for uid in "abc":
            own = [
                (frame["data"], frame["event"]) for frame in frames if frame["meta"]["uid"] == uid
            ]
            assert own == expected_of_one(count)


def expected_of_one(count: int) -> list[tuple[int, str]]:
    return [
        (number, event)
        for number in range(count)
        for event in (("chat", "typing") if number % 4 == 3 else ("chat",))
    ]


async def test_live_and_history_together_are_gapless(every_server: Server, channel: str) -> None:
    """Who subscribes in the middle of a stream and merges history by id misses nothing and has
    nothing twice on the wire."""
    count = 300
    channels = room(channel, {"chat": {"publish": True, "store": -1}}, historyStart=0)
    async with (
        subscribed(every_server, channel, uid="jim", channels=channels) as jim,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        begun = asyncio.Event()

        async def stream() -> None:
            for number in range(count):
                await jim.publish(channel, number)
                if number % 10 == 0:
                    await jim.settle()
                if number == 100:
                    begun.set()
            await jim.settle()

        async def join() -> list[dict[str, Any]]:
            await begun.wait()
            await pam.subscribe(channel)
            return await pam.whole_history(channel)

        streaming = asyncio.create_task(stream())
        history = await join()
        await streaming
        live = await pam.until(count - 1)
        await pam.nothing()

    numbers = [frame["data"] for frame in live]
    assert numbers == list(range(numbers[0], count))
    merged = {frame["id"]: frame["data"] for frame in [*history, *live]}
    assert [merged[id] for id in sorted(merged)] == list(range(count))
    assert [frame["id"] for frame in live] == sorted({frame["id"] for frame in live})
    known = {frame["id"]: frame for frame in history}
    assert all(known.get(frame["id"], frame) == frame for frame in live)


async def test_what_is_published_after_subscribed_arrives(
    every_server: Server, channel: str
) -> None:
    """Ten who subscribe in the middle of a stream, one after another: from the first message that
    its publisher sends after one was told, none is missing to it."""
    sent: list[int] = []
    begun, all_told = asyncio.Event(), asyncio.Event()
    jwt = token(every_server, channels=room(channel))
    subscribers = [await open_client(every_server, jwt) for _ in range(10)]
    publisher = await open_client(every_server, jwt)
    await publisher.subscribe(channel)

    async def stream() -> None:
        """Stored and not stored by turns, until twenty were sent after the last subscribing."""
        rest = 20
        while rest:
            rest -= all_told.is_set()
            sent.append(len(sent))
            await publisher.publish(channel, sent[-1], ("chat", "typing")[len(sent) % 2])
            if len(sent) % 2 == 0:
                await publisher.receive("chat")
            if len(sent) == 20:
                begun.set()

    async def subscribe() -> list[int]:
        """How many had been sent when each was told."""
        await begun.wait()
        told = []
        for subscriber in subscribers:
            await subscriber.subscribe(channel)
            told.append(len(sent))
        all_told.set()
        return told

    told, _ = await asyncio.gather(subscribe(), stream())
    await publisher.settle()
    for subscriber, before in zip(subscribers, told, strict=True):
        got = [frame["data"] for frame in await subscriber.until(sent[-1])]
        await subscriber.nothing()
        assert got == sent[-len(got) :]
        assert len(sent) - len(got) <= before
    await asyncio.gather(*(client.aclose() for client in [publisher, *subscribers]))


async def test_a_message_that_was_seen_is_in_history(every_server: Server, channel: str) -> None:
    """At the very moment at which anyone sees it: stored first, then fanned out."""
    channels = room(channel, historyStart=0)
    async with (
        subscribed(every_server, channel, channels=channels) as jim,
        subscribed(every_server, channel, channels=channels) as pam,
    ):
        for number in range(30):
            await jim.publish(channel, number)
            frame = await pam.receive("chat")
            assert (await pam.history(channel, reverse=True))[0] == frame


async def test_nothing_follows_unsubscribed(every_server: Server, channel: str) -> None:
    """In the middle of a stream of two publishers."""
    unsubscribed = asyncio.Event()
    async with (
        connect(every_server, channels=room(channel)) as one,
        connect(every_server, channels=room(channel)) as two,
        subscribed(every_server, channel) as subscriber,
    ):

        async def stream(client: Any) -> None:
            await client.subscribe(channel)
            rest = 20
            while rest:
                rest -= unsubscribed.is_set()
                await client.publish(channel)
                await client.publish(channel, event="typing")
                await client.settle()

        async def leave() -> None:
            for _ in range(20):
                await subscriber.receive()
            await subscriber.send({"event": "hotsock.unsubscribe", "channel": channel})
            while (await subscriber.receive())["event"] != "hotsock.unsubscribed":
                pass
            unsubscribed.set()

        await asyncio.gather(stream(one), stream(two), leave())
        await subscriber.nothing(one, two)


async def test_reactions_and_messages_have_one_order(every_server: Server, channel: str) -> None:
    """Three people react, add and remove, while others write: everyone sees the same sequence, and
    what it ends in is what the lists say."""
    rounds = 40
    reaction = "hotsock.messageReaction"
    messages = {"chat": STORED, reaction: {"echo": True}}
    channels = room(channel, messages, historyStart=0)
    async with (
        connect(every_server, uid="a", channels=channels) as a,
        connect(every_server, uid="b", channels=channels) as b,
        connect(every_server, uid="c", channels=channels) as c,
    ):
        clients = (a, b, c)
        for client in clients:
            await client.subscribe(channel)
        target = await a.store(channel, "target")

        async def act(client: Client) -> None:
            for turn in range(rounds):
                await client.publish(channel, turn)
                action = ("add", "remove", "add")[turn % 3]
                await client.react(channel, target, "👍", action)
            await client.settle()

        await asyncio.gather(*(act(client) for client in clients))
        await a.publish(channel, "end")
        seen = [[frame.text for frame in await client.until("end")] for client in clients]
        for client in clients:
            await client.nothing()
        assert seen[0] == seen[1] == seen[2]
        [summary] = [
            message["reactions"]["👍"]["items"]
            for message in await a.history(channel, expandReactions=True)
            if message["id"] == target
        ]
        standing: list[str] = []
        for text in seen[0]:
            frame = json.loads(text)
            if frame["event"] == f"{reaction}Added":
                standing.append(frame["meta"]["uid"])
            elif frame["event"] == f"{reaction}Removed":
                standing.remove(frame["meta"]["uid"])
        assert [item["uid"] for item in summary] == standing


async def test_answers_come_in_the_order_of_what_was_sent(
    every_server: Server, channel: str
) -> None:
    """Whatever is sent behind messages that are not committed yet, without waiting for them."""
    stored = {"publish": True, "store": 60, "echo": True}
    messages = {"chat": stored, "typing": {"publish": True, "echo": True}}
    async with subscribed(every_server, channel, messages, uid="jim") as jim:
        for event in messages:
            await jim.publish(channel, "first", event)
            await jim.receive(event)
        behind: dict[str, list[dict[str, Any] | str | bytes]] = {
            "typing": [{"event": "typing", "channel": channel}],
            "hotsock.pong": [{"event": "hotsock.ping"}],
            "PUBLISH_PERMISSION_DENIED": [{"event": "other", "channel": channel}],
            "INVALID_MESSAGE": ["{", b"binary", '{"event":1}'],
            "DATA_TOO_LARGE": [{"event": "chat", "channel": channel, "data": "x" * 40_000}],
            "chat": [{"event": "chat", "channel": channel, "data": "y" * 32_000}],
        }
        expected: list[str] = []
        for answer, frames in behind.items():
            for frame in frames:
                await jim.send(
                    *({"event": "chat", "channel": channel, "data": n} for n in range(7))
                )
                await jim.send(frame)
                expected += [*map(str, range(7)), answer]
        got = [answered(await jim.receive()) for _ in expected]
        assert got == expected
        history = await jim.whole_history(channel)
        await jim.nothing()
    numbers = [frame["data"] for frame in history if isinstance(frame["data"], int)]
    assert numbers == [*range(7)] * (len(expected) // 8)


def answered(frame: Any) -> str:
    if "error" in frame:
        return str(frame["error"]["code"])
    return str(frame["data"]) if isinstance(frame.get("data"), int) else str(frame["event"])


async def test_more_messages_than_may_wait_are_all_stored(
    every_server: Server, channel: str
) -> None:
    messages = {"chat": {"publish": True, "store": 60, "echo": True}}
    frame = {"event": "chat", "channel": channel}
    async with connect(every_server, uid="jim", channels=room(channel, messages)) as jim:
        await jim.subscribe(channel)
        await jim.send(*({**frame, "data": number} for number in range(300)))
        heard = [(await jim.receive("chat"))["data"] for _ in range(300)]
        history = await jim.whole_history(channel)
    assert heard == [*range(300)]
    assert [each["data"] for each in history] == heard

"""Presence: who is there, and how everybody learns of it (protocol.md section 10)."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.client import PLACE, Client, Frame, eventually
from tests.support.connecting import connect, open_client, subscribed
from tests.support.grants import room
from tests.support.servers import SHORT_LEASE, Server, start_server, token
from tests.support.stored import rows

ADDED, UPDATED, REMOVED = (f"hotsock.member{kind}" for kind in ("Added", "Updated", "Removed"))


@pytest.fixture
def channel(channel: str) -> str:
    return f"presence.{channel}"


def member(uid: str, umd: Any = None) -> dict[str, Any]:
    return {"uid": uid, "umd": umd}


def told(event: str, channel: str, who: Any, members: list[Any]) -> dict[str, Any]:
    return {"event": event, "channel": channel, "data": {"member": who, "members": members}}


Join = Callable[..., Awaitable[Client]]


@pytest.fixture
async def join(every_server: Server, channel: str) -> AsyncIterator[Join]:
    """Connects as a uid and subscribes; `joined` of the client is its `hotsock.subscribed`."""
    async with AsyncExitStack() as stack:

        async def join(uid: str, umd: Any = None, **directives: Any) -> Client:
            channels = room(channel, getInfo=True, **directives)
            opening = connect(every_server, uid=uid, umd=umd, channels=channels)
            client = await stack.enter_async_context(opening)
            client.joined = await client.subscribe(channel)  # type: ignore[attr-defined]
            return client

        yield join


async def members_of(client: Client, channel: str) -> list[Any]:
    answer = await client.call("getChannelInfo", {"channel": channel})
    members: list[Any] = answer.json["members"]
    return members


# --- joining -----------------------------------------------------------------------------------


async def test_subscribing_gives_the_members(join: Join, channel: str) -> None:
    jim = await join("jim", {"a": 1.0})
    assert jim.joined == {  # type: ignore[attr-defined]
        "event": "hotsock.subscribed",
        "channel": channel,
        "data": {"members": [member("jim", {"a": 1.0})], **PLACE},
        "meta": {"uid": "jim", "umd": {"a": 1.0}},
    }
    pam = await join("pam")
    expected = [member("jim", {"a": 1.0}), member("pam")]
    assert pam.joined["data"] == {"members": expected, **PLACE}  # type: ignore[attr-defined]


async def test_all_but_the_joiner_are_told(join: Join, channel: str) -> None:
    jim = await join("jim")
    pam = await join("pam")
    both = [member("jim"), member("pam")]
    assert await jim.receive() == told(ADDED, channel, member("pam"), both)
    tom = await join("tom", "x")
    expected = told(ADDED, channel, member("tom", "x"), [*both, member("tom", "x")])
    assert await jim.receive() == expected
    assert await pam.receive() == expected
    await tom.nothing(jim, pam)


async def test_metadata_keeps_its_text(join: Join, channel: str) -> None:
    umd = {"big": 18446744073709551616, "float": 1.0, "text": "é😀"}
    jim = await join("jim")
    pam = await join("pam", umd)
    frame = await jim.receive(ADDED)
    assert '"big":18446744073709551616' in frame.text
    assert '"float":1.0' in frame.text
    assert frame["data"]["member"]["umd"] == umd
    assert pam.joined["data"]["members"][1]["umd"] == umd  # type: ignore[attr-defined]


async def test_auto_subscribed_members_are_members(every_server: Server, channel: str) -> None:
    channels = room(channel, autoSubscribe=True, alias="here")
    async with connect(every_server, uid="jim", channels=channels) as jim:
        frame = await jim.receive("hotsock.subscribed")
        members = [member("jim")]
        assert frame["data"] == {"autoSubscribed": True, "members": members, **PLACE}
        assert frame["meta"]["channelAlias"] == "here"
        async with connect(every_server, uid="pam", channels=channels) as pam:
            await pam.receive("hotsock.subscribed")
            frame = await jim.receive(ADDED)
            assert frame["channel"] == channel
            assert frame["data"]["members"] == [member("jim"), member("pam")]


@pytest.mark.parametrize("uid", [None, ""])
async def test_a_uid_is_required(server: Server, channel: str, uid: str | None) -> None:
    async with connect(server, uid=uid, channels=room(channel, getInfo=True)) as client:
        await client.send({"event": "hotsock.subscribe", "channel": channel})
        code = "PRESENCE_CHANNEL_USER_ID_REQUIRED"
        await client.error(code, "hotsock.subscribe", channel)
        assert await members_of(client, channel) == []


async def test_a_subscribe_token_says_as_whom(every_server: Server, channel: str) -> None:
    async with connect(every_server, uid="jim") as jim:
        granted = token(
            every_server,
            scope="subscribe",
            connectionId=jim.id,
            uid="james",
            umd=7,
            channels=room(channel),
        )
        frame = await jim.subscribe(channel, granted)
        assert frame["data"] == {"members": [member("james", 7)], **PLACE}


async def test_only_names_with_the_prefix_have_members(server: Server, channel: str) -> None:
    for name in (channel.removeprefix("presence."), channel.upper(), f"x{channel}"):
        async with (
            connect(server, uid="jim", channels=room(name)) as jim,
            connect(server, uid="pam", channels=room(name)) as pam,
        ):
            assert (await jim.subscribe(name))["data"] == PLACE
            await pam.subscribe(name)
            await jim.nothing(pam)


# --- many connections of one uid ---------------------------------------------------------------


async def test_a_second_connection_of_a_uid_is_no_second_member(join: Join, channel: str) -> None:
    jim = await join("jim", 1)
    pam = await join("pam")
    await jim.receive(ADDED)
    again = await join("jim", 1)
    assert again.joined["data"]["members"] == [member("jim", 1), member("pam")]  # type: ignore[attr-defined]
    for client in (jim, pam, again):
        await client.nothing(again)
    await again.unsubscribe(channel)
    await pam.nothing(again)
    await jim.unsubscribe(channel)
    assert await pam.receive() == told(REMOVED, channel, member("jim", 1), [member("pam")])


async def test_a_second_connection_with_other_metadata_updates_the_member(
    join: Join, channel: str
) -> None:
    jim = await join("jim", 1)
    pam = await join("pam")
    await jim.receive(ADDED)
    again = await join("jim", 2)
    now = [member("jim", 2), member("pam")]  # in the order of joining, still
    assert again.joined["data"]["members"] == now  # type: ignore[attr-defined]
    for client in (jim, pam, again):  # also the one who caused it
        assert await client.receive() == told(UPDATED, channel, member("jim", 2), now)
    await again.unsubscribe(channel)  # a member's metadata stays that of the latest
    await jim.nothing(again)
    assert await members_of(jim, channel) == now


@pytest.mark.parametrize("umd", ['{"b":2,"a":1}', '{"a":1.0,"b":2}'])
async def test_the_same_metadata_in_another_text_updates_nobody(
    server: Server, channel: str, umd: str
) -> None:
    channels = room(channel)
    async with (
        subscribed(server, channel, uid="jim", umd={"a": 1, "b": 2}, channels=channels) as jim,
        connect(server, uid="jim", umd=json.loads(umd), channels=channels) as again,
    ):
        joined = await again.subscribe(channel)
        assert joined["data"] == {"members": [member("jim", {"a": 1, "b": 2})], **PLACE}
        await jim.nothing(again)
        await again.nothing()


async def test_a_member_that_comes_back_is_the_last(join: Join, channel: str) -> None:
    jim, pam = await join("jim"), await join("pam")
    await jim.drain()
    await jim.unsubscribe(channel)
    joined = await jim.subscribe(channel)
    assert joined["data"] == {"members": [member("pam"), member("jim")], **PLACE}
    assert [(await pam.receive())["event"] for _ in range(2)] == [REMOVED, ADDED]


# --- leaving -----------------------------------------------------------------------------------


async def test_those_who_remain_are_told_who_leaves(join: Join, channel: str) -> None:
    jim, pam, tom = [await join(uid) for uid in ("jim", "pam", "tom")]
    for client in (jim, pam):
        await client.drain()
    await pam.unsubscribe(channel)
    expected = told(REMOVED, channel, member("pam"), [member("jim"), member("tom")])
    for client in (jim, tom):
        assert await client.receive() == expected
    await pam.nothing(jim)


@pytest.mark.parametrize("end", ["close frame", "reset"])
async def test_a_member_whose_connection_ends_is_removed(
    join: Join, channel: str, end: str
) -> None:
    jim, pam = await join("jim", 1), await join("pam")
    if end == "reset":
        jim.reset()
    else:
        await jim.socket.close()
    assert await pam.receive() == told(REMOVED, channel, member("jim", 1), [member("pam")])


async def test_it_leaves_every_channel(every_server: Server, channel: str) -> None:
    channels = {"presence.*": {"subscribe": True}}
    names = [f"{channel}-{number}" for number in range(5)]
    async with (
        connect(every_server, uid="jim", channels=channels) as jim,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        for client in (jim, pam):
            for name in names:
                await client.subscribe(name)
        jim.reset()
        removed = [await pam.receive(REMOVED) for _ in names]
        assert sorted(frame["channel"] for frame in removed) == names
        assert all(frame["data"]["members"] == [member("pam")] for frame in removed)


async def test_one_that_left_before_its_answer_is_no_member(join: Join, channel: str) -> None:
    """Its subscription may be in the writer's queue when it goes."""
    watcher = await join("watcher")
    for number in range(20):
        client = await open_client(
            watcher.server, token(watcher.server, uid=f"m{number}", channels=room(channel))
        )
        await client.send({"event": "hotsock.subscribe", "channel": channel})
        if number % 2:
            await asyncio.sleep(0.001 * number)
        client.reset()

    async def alone() -> bool:
        return await members_of(watcher, channel) == [member("watcher")]

    await eventually(alone)
    last: Frame | None = None
    for frame in await watcher.drain():
        last = frame
    assert last is None or last["data"]["members"] == [member("watcher")]


# --- order -------------------------------------------------------------------------------------


async def test_all_see_one_order_and_end_with_the_same_list(join: Join, channel: str) -> None:
    watchers = [await join(f"w{number}") for number in range(3)]
    others = [await join(f"o{number}", number) for number in range(12)]

    async def come_and_go(client: Client) -> None:
        for _ in range(4):
            await client.send(
                {"event": "hotsock.unsubscribe", "channel": channel},
                {"event": "hotsock.subscribe", "channel": channel},
            )
        await client.settle()

    await asyncio.gather(*map(come_and_go, others))
    seen = [await watcher.drain() for watcher in watchers]
    # Each began after the former had joined.
    assert seen[0][-len(seen[2]) :] == seen[2]
    assert seen[1][-len(seen[2]) :] == seen[2]
    final = seen[0][-1]["data"]["members"]
    assert len(final) == 15
    assert await members_of(watchers[0], channel) == final
    for client in others:
        frames = [frame for frame in await client.drain() if "members" in frame["data"]]
        assert frames[-1]["data"]["members"] == final


@pytest.mark.parametrize("size", [10, 900])
async def test_many_join_and_vanish_at_once(server: Server, channel: str, size: int) -> None:
    """With 100 of 900 bytes, the lists of all joins are 4.5 MB for each: nobody is closed."""
    channels = room(channel)
    opening = (
        open_client(server, token(server, uid=f"m{at:02}", umd="x" * size, channels=channels))
        for at in range(100)
    )
    clients = await asyncio.gather(*opening)
    for client in clients:
        await client.send({"event": "hotsock.subscribe", "channel": channel})

    async def last_list(client: Client, count: int) -> list[Any]:
        while len(members := (await client.receive())["data"]["members"]) != count:
            pass
        return members

    lists = await asyncio.gather(*(last_list(client, 100) for client in clients))
    assert all(each == lists[0] for each in lists)
    for client in clients[::2]:
        client.reset()
    lists = await asyncio.gather(*(last_list(client, 50) for client in clients[1::2]))
    assert all(each == lists[0] for each in lists)
    for client in clients[1::2]:
        await client.nothing()
    await asyncio.gather(*(client.aclose() for client in clients[1::2]))


# --- capacity ----------------------------------------------------------------------------------


async def test_the_list_has_at_most_a_hundred_kilobytes(join: Join, channel: str) -> None:
    """A member takes what its JSON takes: here `{"uid":"m00","umd":"…"}`."""
    size = 1000 - len('{"uid":"m00","umd":""}')
    members = [await join(f"m{number:02}", "x" * size) for number in range(99)]
    full = await join("m99", "x" * size)  # 100,000 bytes are within the limit
    code = "PRESENCE_CHANNEL_CAPACITY_REACHED"
    channels = room(channel)
    async with (
        connect(full.server, uid="x", channels=channels) as other,
        connect(full.server, uid="m00", umd="x" * (size + 1), channels=channels) as larger,
        connect(full.server, uid="m00", umd="x" * size, channels=channels) as same,
    ):
        await full.drain()
        for client in (other, larger):
            await client.send({"event": "hotsock.subscribe", "channel": channel})
            await client.error(code, "hotsock.subscribe", channel)
        assert len((await same.subscribe(channel))["data"]["members"]) == 100
        await full.nothing(other, larger, same)
        await members[98].drain()
        await members[98].unsubscribe(channel)
        await full.receive(REMOVED)
        await other.subscribe(channel)
        assert len((await full.receive(ADDED))["data"]["members"]) == 100


async def test_a_refused_join_does_not_use_up_its_token(server: Server, channel: str) -> None:
    async with AsyncExitStack() as stack:
        channels = room(channel)

        async def open_one(uid: str, umd: Any = None) -> Client:
            opening = connect(server, uid=uid, umd=umd, channels=channels)
            return await stack.enter_async_context(opening)

        first = [await open_one(f"m{number:03}", "x" * 900) for number in range(108)]
        for client in first:
            await client.subscribe(channel)
        late = await open_one("late", "x" * 900)
        once = token(
            server,
            scope="subscribe",
            uid="late",
            singleUse=True,
            jti=channel,
            umd="x" * 900,
            channels=channels,
        )
        asking = {"event": "hotsock.subscribe", "channel": channel, "data": {"token": once}}
        await late.send(asking)
        await late.error("PRESENCE_CHANNEL_CAPACITY_REACHED", "hotsock.subscribe", channel)
        await first[0].drain()
        await first[0].unsubscribe(channel)
        assert len((await late.subscribe(channel, once))["data"]["members"]) == 108


# --- ends of the process -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_server_that_stops_leaves_no_member(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest, channel: str
) -> None:
    """And closes all with 1012: that others leave with it fills no outbox."""
    env = {}
    if kind == "postgres":
        env = {"DATABASE_URL": request.getfixturevalue("postgres").database()}
    with start_server("uvicorn", tmp_path, **env) as server:
        clients = [
            await open_client(
                server, token(server, uid=f"m{at}", umd="x" * 900, channels=room(channel))
            )
            for at in range(20)
        ]
        for client in clients:
            await client.subscribe(channel)
        server.send_signal(signal.SIGTERM)
        closed = await asyncio.gather(*(client.closed() for client in clients))
        assert [code for code, _ in closed] == [1012] * 20
        assert await asyncio.to_thread(server.wait) == 0
        marks = rows(server, "SELECT removed FROM chat_member")
        assert [bool(removed) for (removed,) in marks] == [True] * 20
        assert rows(server, "SELECT id FROM chat_connection") == []
        assert rows(server, "SELECT id FROM chat_subscription") == []


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_members_of_a_killed_process_are_removed(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest, channel: str
) -> None:
    env = {}
    if kind == "daphne":
        env = {"DATABASE_URL": request.getfixturevalue("postgres").database()}
    channels = room(channel, getInfo=True)
    with start_server(kind, tmp_path, **env, **SHORT_LEASE) as server:
        lost = [
            await open_client(server, token(server, uid=uid, channels=channels))
            for uid in ("jim", "pam", "pam", "tom")
        ]
        for client in lost:
            await client.subscribe(channel)
        server.kill()
        server.restart()
        async with connect(server, uid="jim", channels=channels) as jim:
            frame = await jim.subscribe(channel)  # they may be there still

            async def alone() -> bool:
                return await members_of(jim, channel) == [member("jim")]

            await eventually(alone)
            frames = [frame, *await jim.drain()]
            assert frames[-1]["data"]["members"] == [member("jim")]
            answer = await jim.call("getChannelInfo", {"channel": channel})
            assert answer.json["subscriptionsCount"] == 1
        for client in lost:
            client._http = None
            await client.aclose()

"""Two processes of one site: to a client they are one (design.md sections 3 and 4)."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

import msgpack
import pytest
from psycopg import AsyncConnection
from redis.asyncio import Redis

from chat.cluster.messages import EPHEMERAL
from chat.cluster.postgresql_broker import Joiner
from tests.support.backend import backend
from tests.support.calls import LIMIT_SECONDS, Answer, answer, compact, http_client
from tests.support.client import Client, eventually
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import (
    Postgres,
    Server,
    keys_of,
    redis_url,
    start_redis,
    start_server,
    token,
)
from tests.support.stored import rows

Two = tuple[Server, Server]
ALL: dict[str, Any] = {
    "historyStart": 0,
    "getInfo": True,
    "storage": {"*": {"get": True, "set": True, "observe": True}},
}


async def frames(client: Client, count: int, event: str | None = None) -> list[Any]:
    return [await client.receive(event) for _ in range(count)]


async def test_what_is_published_in_one_arrives_in_the_other(processes: Two, channel: str) -> None:
    one, other = processes
    async with (
        subscribed(one, channel, uid="jim") as jim,
        subscribed(other, channel, uid="pam") as pam,
    ):
        await jim.publish(channel, {"a": [1, "❤️"]})
        echo, heard = await jim.receive("chat"), await pam.receive("chat")
        assert echo.text == heard.text
        await jim.publish(channel, event="typing")
        assert (await pam.receive("typing"))["meta"] == {"uid": "jim", "umd": None}
        await jim.nothing(pam)


async def test_what_is_published_right_after_subscribing_is_never_missed(
    processes: Two, channel: str
) -> None:
    """Stored or not: whoever was told that it is subscribed gets the very next message."""
    one, other = processes
    names = [f"{channel}-{number}" for number in range(100)]
    rights = {"*": {"subscribe": True, "messages": {"*": {"publish": True, "broadcast": True}}}}
    async with (
        connect(one, uid="jim", channels=rights) as jim,
        connect(other, uid="pam", channels=rights) as pam,
    ):
        for name in names:
            await pam.subscribe(name)
            await jim.publish(name, event="typing")
            assert (await pam.receive("typing"))["channel"] == name


async def test_four_writers_in_two_processes_make_one_order(processes: Two, channel: str) -> None:
    writers = 4
    each = 100
    async with (
        connect(processes[0], uid="a", channels=room(channel, historyStart=0)) as a,
        connect(processes[1], uid="b", channels=room(channel, historyStart=0)) as b,
        connect(processes[0], uid="c", channels=room(channel, historyStart=0)) as c,
        connect(processes[1], uid="d", channels=room(channel, historyStart=0)) as d,
    ):
        clients = [a, b, c, d]
        for client in clients:
            await client.subscribe(channel)

        async def write(client: Client) -> None:
            for number in range(each):
                await client.publish(channel, number)

        async def read(client: Client) -> list[str]:
            return [(await client.receive("chat"))["id"] for _ in range(writers * each)]

        heard = (await asyncio.gather(*map(write, clients), *map(read, clients)))[writers:]
        kept = [message["id"] for message in await a.whole_history(channel)]
        assert kept == sorted(set(kept))
        assert [kept] * writers == heard


async def test_reactions_and_storage_cross(processes: Two, channel: str) -> None:
    one, other = processes
    async with (
        subscribed(one, channel, uid="jim", channels=room(channel, **ALL)) as jim,
        subscribed(other, channel, uid="pam", channels=room(channel, **ALL)) as pam,
    ):
        id = await jim.store(channel, 1)
        await pam.receive("chat")
        await pam.react(channel, id)
        await jim.receive("chat")
        assert (await jim.receive("hotsock.messageReactionAdded"))["meta"]["uid"] == "pam"
        entry = {"channel": channel, "key": "k", "data": {"x": 1}}
        await jim.send({"event": "hotsock.channelStorageSet", **entry})
        for client in (jim, pam):
            updated = await client.receive("hotsock.channelStorageUpdated")
            assert (updated["key"], updated["data"]) == ("k", {"x": 1})


async def test_credentials_and_subscriptions_work_in_every_process(
    processes: Two, channel: str
) -> None:
    one, other = processes
    async with subscribed(one, channel, uid="jim", channels=room(channel, **ALL)) as jim:
        elsewhere = Client(other, jim.socket)
        elsewhere.connected = jim.connected
        assert await elsewhere.history(channel) == []
        id = await elsewhere.store(channel, "from elsewhere")
        assert (await jim.receive("chat"))["id"] == id  # echo, also where another process sent it
        info = await elsewhere.call("getChannelInfo", {"channel": channel})
        assert info.json == {"channel": channel, "subscriptionsCount": 1}


async def announced(server: Server) -> AsyncIterator[list[Any]]:
    """The entries that its site's processes send each other; an empty one first."""
    if address := server.env.get("REDIS_URL"):
        async with Redis.from_url(address).pubsub() as listener:
            await listener.psubscribe("*")
            yield []
            async for message in listener.listen():
                if message["type"] == "pmessage":
                    for entry in msgpack.unpackb(msgpack.unpackb(message["data"])["body"]):
                        yield entry
    address, joiner = server.env["DATABASE_URL"], Joiner()
    async with await AsyncConnection.connect(address, autocommit=True) as session:
        key = blake2b(server.env["SECRET_KEY"].encode(), digest_size=8)
        await session.execute(f'LISTEN "chat_{key.hexdigest()}"'.encode())
        yield []
        async for notification in session.notifies():
            if joined := joiner.add(notification.payload.encode()):
                for entry in json.loads(joined["body"]):
                    yield entry


async def test_what_is_sent_after_a_call_to_another_process_stays_behind_it(
    processes: Two, channel: str
) -> None:
    """And the other way round. Whether it is overtaken elsewhere, its process tells the others: by
    the number that it must follow."""
    one, other = processes
    async with (
        aclosing(announced(one)) as entries,
        subscribed(one, channel, uid="jim", channels=room(channel, **ALL)) as jim,
    ):
        elsewhere = Client(other, jim.socket)
        elsewhere.connected = jim.connected
        await anext(entries)

        async def followed() -> int:
            async with asyncio.timeout(LIMIT_SECONDS):
                async for entry in entries:
                    if entry[:2] == [EPHEMERAL, channel]:
                        return int(entry[2])
            raise AssertionError("nobody announces any more")

        for number in (1, 2):
            await elsewhere.store(channel)
            await jim.publish(channel, event="typing")
            assert await followed() == number
        entry = {"channel": channel, "key": "k", "data": 1}
        assert (await elsewhere.call("channelStorageSet", entry)).status == 202
        await jim.publish(channel, event="typing")
        assert await followed() == 3
        await jim.publish(channel)
        await jim.settle()
        call = {"channel": channel, "event": "typing"}
        assert (await elsewhere.call("publishMessage", call)).status == 202
        assert await followed() == 4


async def test_one_process_never_echoes_for_another(processes: Two, channel: str) -> None:
    one, other = processes
    silent = {**STORED, "echo": False}
    async with subscribed(one, channel, {"chat": silent}, uid="jim") as jim:
        elsewhere = Client(other, jim.socket)
        elsewhere.connected = jim.connected
        await elsewhere.store(channel, 1)
        async with subscribed(one, channel, uid="pam") as pam:
            await elsewhere.store(channel, 2)
            assert (await pam.receive("chat"))["data"] == 2
        await jim.nothing()


async def test_members_are_of_all_processes(processes: Two, channel: str) -> None:
    one, other = processes
    presence = f"presence.{channel}"
    async with subscribed(one, presence, uid="jim") as jim:
        async with connect(other, uid="pam", channels=room(presence)) as pam:
            told = await pam.subscribe(presence)
            assert [member["uid"] for member in told["data"]["members"]] == ["jim", "pam"]
            added = await jim.receive("hotsock.memberAdded")
            assert added["data"]["member"]["uid"] == "pam"
        removed = await jim.receive("hotsock.memberRemoved")
        assert removed["data"]["members"] == [{"uid": "jim", "umd": None}]


async def test_who_was_closed_for_abuse_is_refused_by_all(processes: Two, channel: str) -> None:
    """For a second; another process may learn of it a little later than who is back at once."""
    one, other = processes

    async def refused() -> int | None:
        jwt = token(one, uid=f"fast-{secrets.token_hex(4)}")
        async with connect(one, jwt=jwt) as client:
            await client.send(*['{"event":"hotsock.ping"}'] * 2000)
            assert (await client.closed())[0] == 4429
        await asyncio.sleep(0.1)
        try:
            await (await open_client(other, jwt)).aclose()
        except Refused as error:
            return error.status
        return None

    assert await eventually(refused) == 429


async def change(
    client: Client, server: Server, umd: str = "new", channel: str | None = None
) -> Answer:
    """Its metadata, over HTTP: the call is answered by another process than its own."""
    claims = {"umdUpdate": True, "umdPropagate": True}
    if channel is not None:
        claims = {"channels": {channel: {"umdUpdate": True}}}
    body = {"token": token(server, scope="umd", uid="jim", umd=umd, **claims), "channel": channel}
    credentials = {"connectionId": client.id, "connectionSecret": client.secret}
    async with http_client(server) as http:
        path = f"/connection/umdUpdate?{urlencode(credentials)}"
        return answer(await http.post(path, content=compact(body)))


async def shown(client: Client, channel: str) -> Any:
    """The metadata with which its messages go out."""
    await client.publish(channel)
    return (await client.receive("chat"))["meta"]["umd"]


async def test_metadata_changed_over_http_elsewhere_is_used_at_once(
    processes: Two, channel: str
) -> None:
    one, other = processes
    async with subscribed(one, channel, uid="jim") as jim:
        for umd in map(str, range(5)):
            assert (await change(jim, other, umd)).status == 200
            assert await shown(jim, channel) == umd
        assert (await change(jim, other, "its", channel)).status == 200
        assert await shown(jim, channel) == "its"


async def test_metadata_changed_elsewhere_reaches_what_begins_meanwhile(
    processes: Two, channel: str
) -> None:
    """Each is there, and changes, or begins later, with the new metadata."""
    one, other = processes
    names = [f"{channel}-{number}" for number in range(50)]
    channels = {name: rights for each in names for name, rights in room(each).items()}
    async with connect(one, uid="jim", umd="old", channels=channels) as jim:
        for name in names:
            await jim.send({"event": "hotsock.subscribe", "channel": name})
        assert (await change(jim, other)).status == 200
        await jim.drain()
        assert [await shown(jim, name) for name in names] == ["new"] * len(names)


async def test_the_process_that_holds_a_connection_refuses(processes: Two, channel: str) -> None:
    """Its list of members is full: whoever asked elsewhere is told so, and nothing changes."""
    one, other = processes
    channel = f"presence.{channel}"
    async with AsyncExitStack() as stack:
        for number in range(99):
            opening = connect(one, uid=f"m{number:02}", umd="x" * 979, channels=room(channel))
            await (await stack.enter_async_context(opening)).subscribe(channel)
        opening = connect(one, uid="jim", umd="old", channels=room(channel))
        jim = await stack.enter_async_context(opening)
        await jim.subscribe(channel)
        refused = await change(jim, other, "x" * 981)
        assert refused.refusal == (403, "PRESENCE_CHANNEL_CAPACITY_REACHED")
        assert await shown(jim, channel) == "old"


@pytest.fixture(scope="module")
def without_redis(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two of one site, whose Redis has ended."""
    directory = tmp_path_factory.mktemp("without-redis")
    redis = start_redis(directory)
    env = {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url(redis)}
    with (
        start_server("uvicorn", directory, **env) as one,
        start_server("uvicorn", directory, **env, **keys_of(one)) as other,
    ):
        redis.stop()
        yield one, other


async def test_metadata_changed_elsewhere_is_found_without_redis(
    without_redis: Two, channel: str
) -> None:
    one, other = without_redis
    async with subscribed(one, channel, uid="jim") as jim:
        assert (await change(jim, other)).status == 200

        async def found() -> bool:
            return bool(await shown(jim, channel) == "new")

        await eventually(found)


async def test_who_is_revoked_closed_or_banned_is_gone_without_redis(
    without_redis: Two, channel: str
) -> None:
    one, other = without_redis
    async with (
        backend(one) as api,
        connect(other, uid="jim", jti=channel) as revoked,
        connect(other, uid="pam") as closed,
        subscribed(other, channel, uid="kim") as banned,
    ):
        await api.call("POST", "/tokens/revoke", {"jti": channel})
        await api.call("POST", "/connections/disconnect", {"uid": "pam"})
        await api.call("POST", "/bans", {"uid": "kim", "channel": channel})
        assert await revoked.closed() == (4403, "")
        assert await closed.closed() == (4403, "")
        assert (await banned.receive("hotsock.unsubscribed"))["channel"] == channel


async def test_a_single_use_token_is_used_once_in_all(processes: Two, channel: str) -> None:
    one, other = processes
    once = {"scope": "subscribe", "uid": "jim", "jti": channel, "singleUse": True}
    granted = token(one, channels=room(channel), **once)
    async with connect(one, uid="jim") as jim, connect(other, uid="jim") as again:
        subscribe = {"event": "hotsock.subscribe", "channel": channel, "data": {"token": granted}}
        await asyncio.gather(jim.send(subscribe), again.send(subscribe))
        answers = [await jim.receive(), await again.receive()]
        assert sorted(answer["event"] for answer in answers) == [
            "hotsock.error",
            "hotsock.subscribed",
        ]


async def test_a_connection_closed_in_the_admin_of_another_process(
    processes: Two, channel: str
) -> None:
    """Revoking is a row: whoever holds the connection closes it, and its secret ends at once."""
    one, other = processes
    async with subscribed(one, channel, uid="jim") as jim:
        rows(one, "UPDATE chat_connection SET revoked = true WHERE id = ?", jim.id)
        elsewhere = Client(other, jim.socket)
        elsewhere.connected = jim.connected
        refused = await elsewhere.call("listMessages", {"channel": channel})
        assert refused.status == 401
        assert await jim.closed() == (4403, "")

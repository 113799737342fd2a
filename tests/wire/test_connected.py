"""What a connection is told first (protocol.md section 6, rules 2 and 3)."""

import asyncio
import base64
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import jwt as pyjwt
import pytest

from tests.support.client import PLACE, Client, eventually
from tests.support.connecting import Refused, connect, handshake, open_client, subscribed
from tests.support.grants import room
from tests.support.servers import Server, token


async def test_hotsock_connected_is_the_first_frame(any_server: Server, channel: str) -> None:
    channels = {channel: {"autoSubscribe": True}}
    jwt = token(any_server, uid="jim", umd={"name": "Jim"}, channels=channels)
    client = Client(any_server, await handshake(f"{any_server.ws_url}?token={jwt}"))
    frame = await client.receive()
    assert frame.keys() == {"event", "data", "meta"}
    assert frame["event"] == "hotsock.connected"
    assert frame["data"].keys() == {"connectionId", "connectionExpiresAt", "connectionSecret"}
    assert frame["meta"] == {"uid": "jim", "umd": {"name": "Jim"}}
    await client.receive("hotsock.subscribed")
    await client.aclose()


async def test_meta_is_null_where_the_token_says_nothing(any_server: Server) -> None:
    async with connect(any_server) as client:
        assert client.connected["meta"] == {"uid": None, "umd": None}


async def test_null_claims_count_as_absent(any_server: Server) -> None:
    claims = {"uid": None, "umd": None, "channels": None, "keepAlive": None, "connectionId": None}
    payload = {"exp": time.time() + 300.5, "scope": "connect", **claims}
    key = base64.b64decode(any_server.env["SIGNING_KEY_1_ENCODED"])
    async with connect(any_server, jwt=pyjwt.encode(payload, key, "HS256")) as client:
        assert client.connected["meta"] == {"uid": None, "umd": None}


async def test_unknown_claims_and_directives_are_ignored(any_server: Server, channel: str) -> None:
    channels = room(channel, {"chat": {"publish": True, "echo": True, "sparkle": 1}}, glitter=[])
    async with subscribed(any_server, channel, channels=channels, newClaim={"a": 1}) as client:
        await client.publish(channel)
        await client.receive("chat")


async def test_a_connection_says_when_it_ends(any_server: Server) -> None:
    before = datetime.now(UTC).timestamp()
    async with connect(any_server) as client:
        text = client.connected["data"]["connectionExpiresAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    ends = datetime.fromisoformat(text).timestamp()
    assert before + 7200 - 1 <= ends <= datetime.now(UTC).timestamp() + 7200


async def test_ids_and_secrets_are_each_connections_own(any_server: Server) -> None:
    async with connect(any_server) as first, connect(any_server) as second:
        assert first.id != second.id
        assert first.secret != second.secret
        assert re.fullmatch(r"[\w-]+=*", first.id, re.ASCII)
        assert len(first.secret) * 6 >= 120  # bits, at most 6 a character
        assert re.fullmatch(r"[\w-]+", first.secret, re.ASCII)


async def test_the_secret_is_stored_only_as_a_hash(any_server: Server) -> None:
    async with connect(any_server) as client:
        path = Path(any_server.env["DATABASE_URL"].removeprefix("sqlite:///"))
        kept = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
        assert client.id.encode() in kept
        assert client.secret.encode() not in kept


async def test_the_credentials_work_as_soon_as_they_are_told(
    any_server: Server, channel: str
) -> None:
    """Twenty at once: none of them is told before its row can be read."""
    channels = {channel: {"autoSubscribe": True}}

    async def first_call() -> None:
        async with connect(any_server, channels=channels) as client:
            unknown = await client.call("listMessages", {"channel": f"{channel}-other"})
            assert unknown.refusal == (403, "NOT_SUBSCRIBED")
            await client.receive("hotsock.subscribed")
            assert await client.history(channel) == []

    await asyncio.gather(*(first_call() for _ in range(20)))


async def test_a_connection_outlives_its_token(any_server: Server, channel: str) -> None:
    """`exp` limits when a token may be used (section 3): nothing of what is open ends with it."""
    jwt = token(any_server, exp=time.time() + 1.5, channels=room(channel))
    async with connect(any_server, jwt=jwt) as client:
        await client.subscribe(channel)

        async def expired() -> bool:
            try:
                await (await open_client(any_server, jwt)).aclose()
            except Refused:
                return True
            return False

        await eventually(expired)
        await client.publish(channel)
        await client.receive("chat")
        await client.store(channel)
        await client.receive("chat")
        assert len(await client.history(channel)) == 2
        await client.unsubscribe(channel)
        await client.subscribe(channel)


# --- autoSubscribe --------------------------------------------------------------------------------


async def test_auto_subscribe_subscribes_to_each_channel(any_server: Server, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(3)]
    channels = {name: {"autoSubscribe": True, "historyStart": 0} for name in names}
    async with connect(any_server, uid="jim", umd=1, channels=channels) as client:
        for name in names:
            frame = await client.receive("hotsock.subscribed")
            assert frame == {
                "event": "hotsock.subscribed",
                "channel": name,
                "data": {"autoSubscribed": True, **PLACE},
                "meta": {"uid": "jim", "umd": 1},
            }
            assert await client.history(name) == []
        await client.nothing()


async def test_auto_subscribe_gives_leave_to_subscribe_again(
    any_server: Server, channel: str
) -> None:
    async with connect(any_server, channels={channel: {"autoSubscribe": True}}) as client:
        await client.receive("hotsock.subscribed")
        await client.unsubscribe(channel)
        assert (await client.subscribe(channel))["data"] == PLACE


async def test_an_auto_subscribe_that_fails_is_told_and_the_others_go_on(
    any_server: Server, channel: str
) -> None:
    denied, granted = f"{channel}-denied", f"{channel}-granted"
    channels = {
        denied: {"autoSubscribe": True, "subscribe": False},
        granted: {"autoSubscribe": True},
    }
    async with connect(any_server, channels=channels) as client:
        await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", denied)
        assert (await client.receive("hotsock.subscribed"))["channel"] == granted
        assert (await client.call("listMessages", {"channel": denied})).refusal == (
            *(403, "NOT_SUBSCRIBED"),
        )


async def test_auto_subscribe_to_a_presence_channel_needs_a_uid(
    any_server: Server, channel: str
) -> None:
    name = f"presence.{channel}"
    async with connect(any_server, channels={name: {"autoSubscribe": True}}) as client:
        await client.error("PRESENCE_CHANNEL_USER_ID_REQUIRED", "hotsock.subscribe", name)


@pytest.mark.parametrize("name", ["two words", "a,b", "#general", "x" * 257, ""])
async def test_auto_subscribe_to_what_is_no_channel_name_fails_alone(
    every_server: Server, channel: str, name: str
) -> None:
    channels = {name: {"autoSubscribe": True}, channel: {"autoSubscribe": True}}
    async with connect(every_server, channels=channels) as client:
        await client.error("INVALID_CHANNEL_NAME", "hotsock.subscribe", name)
        assert (await client.receive("hotsock.subscribed"))["channel"] == channel


async def test_what_is_sent_during_auto_subscribe_waits_for_it(
    any_server: Server, channel: str
) -> None:
    channels = room(channel, autoSubscribe=True)
    jwt = token(any_server, channels=channels)
    client = Client(any_server, await handshake(f"{any_server.ws_url}?token={jwt}"))
    await client.publish(channel, "at once")
    for event in ("hotsock.connected", "hotsock.subscribed", "chat"):
        await client.receive(event)
    await client.aclose()

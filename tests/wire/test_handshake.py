"""Who gets a WebSocket, and what it is told first (protocol.md section 6, rules 1 to 3)."""

import asyncio
import base64
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt as pyjwt
import pytest

from tests.servers import Server, token
from tests.wire.client import Client, Refused, connect, handshake
from tests.wire.grants import room
from tests.wire.kinds import answers_handshakes, handshake_status, logs_queries


def unsigned(claims: dict[str, Any]) -> str:
    return pyjwt.encode(claims, None, "none")


def resigned(server: Server) -> str:
    """A good token's claims under another key of the same kind."""
    return pyjwt.encode({"exp": time.time() + 300, "scope": "connect"}, "k" * 64, "HS256")


def tampered(server: Server) -> str:
    """A good token whose claims were replaced, its signature kept."""
    header, _, signature = token(server, uid="jim").split(".")
    claims = json.dumps({"exp": time.time() + 300, "scope": "connect", "uid": "pam"}).encode()
    return ".".join((header, base64.urlsafe_b64encode(claims).decode().rstrip("="), signature))


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": time.time() - 1},
    "without exp": {"exp": None},
    "exp is text": {"exp": "2030-01-01"},
    "not yet": {"nbf": time.time() + 3600},
    "without scope": {"scope": None},
    "of another scope": {"scope": "subscribe umd"},
    "of an unknown scope": {"scope": "connect admin"},
    "with connectionId": {"connectionId": "JCnTZd_KoAMCF-A="},
    "single use without jti": {"singleUse": True},
    "uid is a number": {"uid": 7},
    "channels is a list": {"channels": ["c"]},
    "a bad directive": {"channels": {"c": {"subscribe": "yes"}}},
    "a bad pattern": {"channels": {"#regex:(": {"subscribe": True}}},
    "an alias on a pattern": {"channels": {"c*": {"alias": "a"}}},
    "an alias twice": {"channels": {"c": {"alias": "a"}, "d": {"alias": "a"}}},
    "an alias that is a channel": {"channels": {"c": {"alias": "d"}, "d": {}}},
    "autoSubscribe on a pattern": {"channels": {"c*": {"autoSubscribe": True}}},
    "heartbeatTimeout of 4": {"heartbeatTimeout": 4},
    "heartbeatTimeout of 601": {"heartbeatTimeout": 601},
}
BAD_TOKENS = {
    "none": lambda server: "",
    "no token": lambda server: "nonsense",
    "unsigned": lambda server: unsigned({"exp": time.time() + 300, "scope": "connect"}),
    "signed with another key": resigned,
    "tampered with": tampered,
}
REFUSALS = {
    **BAD_TOKENS,
    **{
        name: lambda server, claims=claims: token(server, **claims)
        for name, claims in BAD_CLAIMS.items()
    },
}


@pytest.mark.parametrize("make", REFUSALS.values(), ids=REFUSALS)
async def test_a_bad_token_never_gets_an_accepted_websocket(any_server: Server, make: Any) -> None:
    jwt = make(any_server)
    logged = any_server.log.stat().st_size
    with pytest.raises(Refused) as refused:
        await handshake(f"{any_server.ws_url}?{urlencode({'token': jwt})}")
    assert refused.value.status == handshake_status(any_server, 401)
    if answers_handshakes(any_server):
        error = json.loads(refused.value.body)["error"]
        assert error.keys() == {"code", "message"}
        assert error["code"] == "INVALID_CONNECTION"
    reasons = any_server.log.read_text()[logged:]
    assert "connect token" in reasons
    assert "refused" in reasons
    assert not jwt or jwt not in reasons
    assert jwt.count(".") != 2 or jwt.split(".")[1] not in reasons


async def test_a_handshake_without_a_query_is_refused(any_server: Server) -> None:
    with pytest.raises(Refused) as refused:
        await handshake(any_server.ws_url)
    assert refused.value.status == handshake_status(any_server, 401)


async def test_the_reason_is_logged(any_server: Server) -> None:
    with pytest.raises(Refused):
        async with connect(any_server, channels={"lobby": {"subscribe": "yes"}}):
            pass
    assert 'channels["lobby"].subscribe must be true or false, not "yes"' in (
        any_server.log.read_text()
    )


async def test_no_token_of_an_accepted_connection_is_logged(any_server: Server) -> None:
    jwt = token(any_server, uid="jim")
    async with connect(any_server, jwt=jwt) as client:
        await client.call("listMessages", {"channel": "c"})
        secret = client.secret
    log = any_server.log.read_text()
    assert jwt not in log
    assert jwt.split(".")[1] not in log
    assert secret not in log or logs_queries(any_server)


# --- hotsock.connected --------------------------------------------------------------------------


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
    async with connect(any_server, channels=channels, newClaim={"a": 1}) as client:
        await client.subscribe(channel)
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


# --- autoSubscribe ------------------------------------------------------------------------------


async def test_auto_subscribe_subscribes_to_each_channel(any_server: Server, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(3)]
    channels = {name: {"autoSubscribe": True, "historyStart": 0} for name in names}
    async with connect(any_server, uid="jim", umd=1, channels=channels) as client:
        for name in names:
            frame = await client.receive("hotsock.subscribed")
            assert frame == {
                "event": "hotsock.subscribed",
                "channel": name,
                "data": {"autoSubscribed": True},
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
        assert (await client.subscribe(channel))["data"] == {}


async def test_auto_subscribe_tells_the_alias(any_server: Server, channel: str) -> None:
    channels = {channel: {"autoSubscribe": True, "alias": f"{channel}-alias"}}
    async with connect(any_server, channels=channels) as client:
        frame = await client.receive("hotsock.subscribed")
        assert frame["channel"] == channel
        assert frame["meta"]["channelAlias"] == f"{channel}-alias"


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

"""Tokens that may be used once (protocol.md section 3)."""

import asyncio
import secrets
import time

import pytest

from tests.support.client import Client
from tests.support.connecting import Refused, connect, open_client
from tests.support.grants import room
from tests.support.kinds import handshake_status
from tests.support.servers import Server, token


@pytest.fixture
def jti() -> str:
    return secrets.token_hex(16)


async def refused_handshake(server: Server, jwt: str) -> None:
    with pytest.raises(Refused) as refused:
        await open_client(server, jwt)
    assert refused.value.status == handshake_status(server, 401)


async def subscribe_denied(client: Client, channel: str, jwt: str, code: str) -> None:
    data = {"token": jwt}
    await client.send({"event": "hotsock.subscribe", "channel": channel, "data": data})
    await client.error(code, "hotsock.subscribe", channel)


# --- connecting ---------------------------------------------------------------------------------


async def test_a_connect_uses_it_up(every_server: Server, jti: str) -> None:
    jwt = token(every_server, singleUse=True, jti=jti)
    async with connect(every_server, jwt=jwt) as client:
        await refused_handshake(every_server, jwt)
        await client.nothing()
    await refused_handshake(every_server, jwt)


async def test_a_jti_without_single_use_may_be_used_again(any_server: Server, jti: str) -> None:
    jwt = token(any_server, jti=jti)
    for _ in range(2):
        async with connect(any_server, jwt=jwt):
            pass


async def test_the_jti_is_what_is_used_up(any_server: Server, jti: str) -> None:
    """Another token with the same jti is refused, one with another jti is not."""
    async with connect(any_server, singleUse=True, jti=jti, uid="jim"):
        pass
    await refused_handshake(any_server, token(any_server, singleUse=True, jti=jti, uid="pam"))
    async with connect(any_server, singleUse=True, jti=f"{jti}-other"):
        pass


async def test_of_many_simultaneous_connects_one_wins(every_server: Server, jti: str) -> None:
    jwt = token(every_server, singleUse=True, jti=jti)
    tried = [open_client(every_server, jwt) for _ in range(8)]
    outcomes = await asyncio.gather(*tried, return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, Client)]
    refused = [outcome.status for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(won) == 1
    assert refused == [handshake_status(every_server, 401)] * 7
    await won[0].aclose()


async def test_a_use_before_its_time_does_not_use_it_up(any_server: Server, jti: str) -> None:
    early = token(any_server, singleUse=True, jti=jti, nbf=time.time() + 3600)
    await refused_handshake(any_server, early)
    async with connect(any_server, singleUse=True, jti=jti):
        pass


# --- subscribing --------------------------------------------------------------------------------


async def test_a_subscribe_uses_it_up(every_server: Server, channel: str, jti: str) -> None:
    channels = room(f"{channel}-1") | room(f"{channel}-2")
    jwt = token(
        every_server, scope="subscribe", uid="jim", singleUse=True, jti=jti, channels=channels
    )
    async with connect(every_server, uid="jim") as client:
        await client.subscribe(f"{channel}-1", jwt)
        await subscribe_denied(client, f"{channel}-2", jwt, "INVALID_SUBSCRIBE_TOKEN")
        await client.unsubscribe(f"{channel}-1")
        await subscribe_denied(client, f"{channel}-1", jwt, "INVALID_SUBSCRIBE_TOKEN")


async def test_of_two_simultaneous_subscribes_one_wins(
    every_server: Server, channel: str, jti: str
) -> None:
    jwt = token(
        every_server,
        **{"scope": "subscribe", "uid": "jim", "singleUse": True, "jti": jti},
        channels=room(channel),
    )
    ask = {"event": "hotsock.subscribe", "channel": channel, "data": {"token": jwt}}
    async with connect(every_server, uid="jim") as one, connect(every_server, uid="jim") as two:
        await asyncio.gather(one.send(ask), two.send(ask))
        told = [await client.receive() for client in (one, two)]
        assert sorted(frame["event"] for frame in told) == ["hotsock.error", "hotsock.subscribed"]
        [error] = [frame["error"]["code"] for frame in told if "error" in frame]
        assert error == "INVALID_SUBSCRIBE_TOKEN"


async def test_a_subscribe_that_is_refused_does_not_use_it_up(
    any_server: Server, channel: str, jti: str
) -> None:
    once = {"scope": "subscribe", "singleUse": True, "jti": jti, "channels": room(channel)}
    jwt = token(any_server, uid="jim", **once)
    async with (
        connect(any_server, uid="jim", channels=room(f"{channel}-taken")) as jim,
        connect(any_server, uid="pam") as pam,
    ):
        await subscribe_denied(jim, f"{channel}-x", jwt, "SUBSCRIBE_PERMISSION_DENIED")
        await subscribe_denied(pam, channel, jwt, "INVALID_SUBSCRIBE_TOKEN")
        await jim.subscribe(f"{channel}-taken")
        await subscribe_denied(jim, f"{channel}-taken", jwt, "ALREADY_SUBSCRIBED")
        early = token(any_server, uid="jim", nbf=time.time() + 3600, **once)
        await subscribe_denied(jim, channel, early, "INVALID_SUBSCRIBE_TOKEN")
        await jim.subscribe(channel, jwt)


async def test_a_connect_uses_it_up_for_subscribing_too(
    any_server: Server, channel: str, jti: str
) -> None:
    jwt = token(
        any_server,
        **{"scope": "connect subscribe", "uid": "jim", "singleUse": True, "jti": jti},
        channels=room(channel),
    )
    async with connect(any_server, jwt=jwt) as client:
        await subscribe_denied(client, channel, jwt, "INVALID_SUBSCRIBE_TOKEN")
        await client.subscribe(channel)

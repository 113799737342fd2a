"""The live page's channel: a ticket opens it, and nothing else does (docs/admin.md)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import signing
from websockets.asyncio.client import ClientConnection

from chat.actions.live import LOOK_SECONDS, PREFIX, SALT
from chat.runtime.live import LIVE
from tests.support.backend import backend
from tests.support.connecting import Refused, connect, handshake
from tests.support.servers import Server, token

ALL: dict[str, Any] = {
    "subscribe": True,
    "historyStart": 0,
    "getInfo": True,
    "storage": {"*": {"get": True, "set": True, "observe": True}},
    "messages": {"*": {"publish": True, "broadcast": True, "store": -1, "echo": True}},
}
GRANTS = {
    "any": {"*": ALL},
    "expression": {"#regex:.*": ALL, r"#regex:^live\spage$": ALL},
    "name": {LIVE: ALL},
    "alias": {LIVE: {**ALL, "alias": "x"}},
    "at once": {LIVE: {**ALL, "autoSubscribe": True, "alias": "x"}},
}


async def look(server: Server, key: str | None = None) -> ClientConnection:
    ticket = PREFIX + signing.dumps("", salt=SALT, key=key or server.env["SECRET_KEY"])
    # The library needs no quoting: a ticket has letters, digits, ":", "-" and "_".
    return await handshake(f"{server.ws_url}?token={ticket}")


async def told(viewer: ClientConnection) -> dict[str, Any]:
    """What the next process says."""
    while True:
        frame: dict[str, Any] = json.loads(await viewer.recv())
        if frame["event"] == "process":
            assert frame["channel"] == LIVE
            data: dict[str, Any] = frame["data"]
            return data


async def test_a_ticket_opens_it_for_a_while(any_server: Server) -> None:
    async with await look(any_server) as viewer:
        connected = json.loads(await viewer.recv())
        data = await told(viewer)
    ends = datetime.fromisoformat(connected["data"]["connectionExpiresAt"])
    assert ends - datetime.now(UTC) <= timedelta(seconds=LOOK_SECONDS)
    assert data.keys() == {"id", "host", "pid", "samples", "tasks", "channels", "warnings"}
    assert data["samples"][-1][1] >= 1
    assert ["scheduler", 0, 0] in data["tasks"]


async def test_each_process_of_a_site_tells(processes: tuple[Server, Server]) -> None:
    one, other = processes
    async with await look(one) as viewer:
        pids = {(await told(viewer))["pid"]}
        while len(pids) < 2:
            pids.add((await told(viewer))["pid"])
    assert pids == {one.pid, other.pid}


async def test_another_site_s_ticket_is_refused(server: Server) -> None:
    with pytest.raises(Refused) as refused:
        await look(server, key="x" * 50)
    assert refused.value.status == 401


@pytest.mark.parametrize("channels", GRANTS.values(), ids=GRANTS)
async def test_no_token_opens_it(server: Server, channels: dict[str, Any]) -> None:
    """As itself or by an alias, to hear or to speak; nor does a subscribe token."""
    more = token(server, scope="subscribe", uid="jim", channels=channels)
    subscribe = {"event": "hotsock.subscribe", "data": {"token": more}}
    async with connect(server, uid="jim", channels=channels) as client:
        if "autoSubscribe" in channels.get(LIVE, ()):
            await client.error("INVALID_CHANNEL_NAME", "hotsock.subscribe", LIVE)
        for name, refusals in {
            LIVE: ["INVALID_CHANNEL_NAME"] * 4,
            "x": ["SUBSCRIBE_PERMISSION_DENIED"] * 2 + ["PUBLISH_PERMISSION_DENIED"] * 2,
        }.items():
            if name == "x" and "*" in "".join(channels):
                continue  # a channel of its own there
            for frame, refusal in zip(
                [
                    {"event": "hotsock.subscribe"},
                    subscribe,
                    {"event": "process", "data": {}},
                    {"event": "chat", "data": 1},
                ],
                refusals,
                strict=True,
            ):
                await client.send({**frame, "channel": name})
                await client.error(refusal, frame["event"], name)
            refused = await client.call("publishMessage", {"channel": name, "event": "process"})
            assert refused.status in (400, 403), refused.text


async def test_the_server_api_cannot_name_it(server: Server) -> None:
    async with backend(server) as api:
        assert (await api.publish(LIVE)).refusal == (400, "INVALID_CHANNEL_NAME")
        assert (await api.channel(LIVE)).refusal == (400, "INVALID_CHANNEL_NAME")

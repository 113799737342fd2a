"""Numbers on which common parsers fail are refused wherever their JSON would reach others; all
others stay as they were written (protocol.md section 2)."""

import json
from typing import Any

import pytest

from tests.support.backend import backend
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import room
from tests.support.servers import Server, token

HUGE = [
    "9" * 6000,
    "-" + "1" * 1001,
    "1" * 500 + "." + "1" * 501,
    "0." + "0" * 998 + "e-01",
    "1e10000",
    "0E-10000",
    "1e" + "9" * 20_000,
]
FINE = ["18446744073709551616", "-" + "9" * 1000, "0." + "0" * 998 + "1", "1e9999", "-1E-0009999"]
LATER = "at(2999-01-01T00:00:00)"
STORAGE = {"k": {"get": True, "set": True, "observe": True}}


def written(value: Any, number: str) -> str:
    """As JSON, with this number in the place of each `"N"`."""
    return json.dumps(value).replace('"N"', number)


async def test_a_huge_number_reaches_nobody(attacked: Server, channel: str) -> None:
    granted = room(channel, historyStart=0, storage=STORAGE)
    chat = {"event": "chat", "channel": channel, "data": {"a": ["N", "\\"]}}
    entry = {"event": "hotsock.channelStorageSet", "channel": channel, "key": "k", "data": "N"}
    async with (
        subscribed(attacked, channel, uid="jim", channels=granted) as jim,
        subscribed(attacked, channel, uid="pam", channels=granted) as pam,
        backend(attacked) as api,
    ):
        message = await jim.store(channel, 1)
        data = {"messageId": message, "reaction": "x", "action": "add", "uid": "u", "umd": ["N"]}
        reaction = {"event": "hotsock.messageReaction", "channel": channel, "data": data}
        await jim.receive("chat")
        await pam.receive("chat")
        for number in HUGE:
            for frame in (chat, entry, chat | {"scheduleExpression": LATER}):
                await jim.send(written(frame, number))
                await jim.error("INVALID_MESSAGE", str(frame["event"]), channel)
            for operation, body in (("publishMessage", chat), ("channelStorageSet", entry)):
                refused = await jim.call(operation, written(body, number))
                assert refused.refusal == (400, "INVALID_MESSAGE")
            for body in (chat, entry, reaction):
                refused = await api.call("POST", "/publish", written(body, number))
                assert refused.refusal == (400, "INVALID_MESSAGE")
        await pam.nothing()
        assert [each["data"] for each in await jim.history(channel)] == [1]
        assert await jim.reactions(channel, message) == []


async def test_any_other_number_stays_as_it_is(attacked: Server, channel: str) -> None:
    async with subscribed(attacked, channel, uid="jim") as jim:
        for number in FINE:
            for data in (f"[{number}]", f'["1e99999","{"1" * 2000}",{number}]'):
                await jim.send(f'{{"event":"chat","channel":"{channel}","data":{data}}}')
                assert f'"data":{data}' in str(await jim.socket.recv())


async def test_a_token_with_a_huge_number_is_refused(
    attacked_uvicorn: Server, channel: str
) -> None:
    huge = int("9" * 1001)
    with pytest.raises(Refused) as refused:
        await open_client(attacked_uvicorn, token(attacked_uvicorn, umd=huge))
    assert refused.value.status == 401
    async with connect(attacked_uvicorn, uid="jim") as jim:
        jwt = token(attacked_uvicorn, scope="umd", uid="jim", umd=[huge])
        await jim.send({"event": "hotsock.umdUpdate", "data": {"token": jwt}})
        await jim.error("INVALID_UMD_TOKEN", "hotsock.umdUpdate", None)
        jwt = token(attacked_uvicorn, scope="subscribe", uid="jim", channels=room(channel), x=huge)
        await jim.send({"event": "hotsock.subscribe", "channel": channel, "data": {"token": jwt}})
        await jim.error("INVALID_SUBSCRIBE_TOKEN", "hotsock.subscribe", channel)


async def test_an_event_that_reads_like_ours_reaches_nobody(attacked: Server, channel: str) -> None:
    granted = room(channel, {"*": {"publish": True, "echo": True}})
    async with (
        subscribed(attacked, channel, uid="jim", channels=granted) as jim,
        backend(attacked) as api,
    ):
        for event in ("Hotsock.x", "hot\u200bsock.connected", "ｈotsoc\u212a\u2024x"):
            await jim.publish(channel, 1, event)
            await jim.error("INVALID_EVENT_NAME", event, channel)
            refused = await jim.call("publishMessage", {"channel": channel, "event": event})
            assert refused.refusal == (400, "INVALID_EVENT_NAME")
            for more in ({}, {"scheduleExpression": LATER}):
                refused = await api.publish(channel, event, **more)
                assert refused.refusal == (400, "INVALID_EVENT_NAME")
        await jim.nothing()

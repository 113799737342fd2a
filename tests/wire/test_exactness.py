"""What was sent is what arrives, to the character (protocol.md sections 2 and 8)."""

import json
from typing import Any

import pytest

from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server

EXACT = {
    "a large integer": "18446744073709551616",
    "a larger one": "1" + "0" * 400,
    "a decimal's zeros": "1.10",
    "an exponent": "[1e2,1E+2,-0,-0.0,1e-400,1.7976931348623159e309]",
    "the order of keys": '{"b":1,"a":2,"":3}',
    "a key twice": '{"a":1,"a":2}',
    "emoji": '"👍🏽 👨‍👩‍👧 ❤️ ❤"',
    "escapes": r'"\u00e9\n\t\"\\\/\b\f\r\ud83d\udc4d é \u2028"',
    "no normalisation": '"\u00e9 e\u0301 \ufb01 \u212b"',
    "invisible characters": '"\u200b\u2028\u2029\ufeff\x7f\u202e"',
    "an escaped backslash before u0000": r'"\\u0000"',
    "deep": "[" * 100 + "]" * 100,
    "deep objects": '{"a":' * 99 + "{}" + "}" * 99,
    "exactly 32 KiB": '"' + "x" * (32 * 1024 - 2) + '"',
    "literals": "[true,false,null]",
    "an empty string": '""',
    "false": "false",
    "zero": "0",
    "text that looks like SQL and HTML": '"\'; DROP TABLE chat_message; -- <b>%s {} \\u0027"',
}


@pytest.mark.parametrize("data", EXACT.values(), ids=EXACT)
async def test_data_arrives_exactly_as_it_was_sent(
    every_server: Server, channel: str, data: str
) -> None:
    """The very text: live, from the sender's own copy, over HTTP and in history."""
    messages = {"chat": {"publish": True, "echo": True, "store": -1}}
    channels = room(channel, messages, historyStart=0)
    async with (
        subscribed(every_server, channel, uid="jim", channels=channels) as jim,
        subscribed(every_server, channel, channels=channels) as pam,
    ):
        await jim.send(f'{{"event":"chat","channel":"{channel}","data":{data}}}')
        frame = await pam.receive("chat")
        assert f'"data":{data},' in frame.text
        assert (await jim.receive("chat")).text == frame.text
        answered = await jim.call("listMessages", {"channel": channel})
        assert answered.text == f'{{"messages":[{frame.text}]}}'
        await jim.call("publishMessage", f'{{"channel":"{channel}","event":"chat","data":{data}}}')
        assert f'"data":{data},' in (await pam.receive("chat")).text


EXACT_UMD = {
    "order and emoji": {"b": "👍", "a": ["é", "e\u0301"], "": None},
    "numbers": [1, 2**53, 0.5],
    "text": 'it\'s "quoted" \\ \u2028',
    "false": False,
}


@pytest.mark.parametrize("umd", EXACT_UMD.values(), ids=EXACT_UMD)
async def test_uid_and_umd_keep_their_order_and_characters(
    every_server: Server, channel: str, umd: Any
) -> None:
    uid = 'jím "\\ 👍 \u2028'
    channels = room(channel, historyStart=0)
    async with connect(every_server, uid=uid, umd=umd, channels=channels) as client:
        text = json.dumps({"uid": uid, "umd": umd})
        assert json.dumps((await client.subscribe(channel))["meta"]) == text
        await client.publish(channel)
        assert json.dumps((await client.receive("chat"))["meta"]) == text
        [message] = await client.history(channel)
        assert json.dumps(message["meta"]) == text

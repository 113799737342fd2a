"""Text to command: what is accepted, and what is said of what is not (protocol.md section 7)."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.protocol import commands, frames
from chat.protocol.commands import Command, Publish, React, Subscribe, Unsubscribe
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.frames import MAX_FRAME_BYTES, oversize

MESSAGE = "01HF7YAT00ABCDEFGHJKMNPQRS"


def decode(frame: dict[str, Any] | str) -> Command:
    text = frame if isinstance(frame, str) else json.dumps(frame)
    return commands.decode(frames.parse(text))


def refusal(frame: dict[str, Any] | str) -> ProtocolError:
    with pytest.raises(ProtocolError) as refused:
        decode(frame)
    return refused.value


def react(**changes: Any) -> dict[str, Any]:
    data = {"messageId": MESSAGE, "reaction": "👍", "action": "add", **changes}
    return {
        "event": "hotsock.messageReaction",
        "channel": "c",
        "data": {name: value for name, value in data.items() if value is not ...},
    }


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        ({"event": "hotsock.ping"}, commands.Ping()),
        ({"event": "hotsock.ping", "channel": "c", "data": [1]}, commands.Ping()),
        ({"event": "hotsock.pong"}, commands.Pong()),
        ({"event": "hotsock.heartbeat", "data": {}}, commands.Heartbeat()),
        ({"event": "hotsock.subscribe", "channel": "c"}, Subscribe("c")),
        ({"event": "hotsock.subscribe", "channel": "c", "data": None}, Subscribe("c")),
        ({"event": "hotsock.subscribe", "channel": "c", "data": {}}, Subscribe("c")),
        ({"event": "hotsock.subscribe", "channel": "c", "data": {"token": None}}, Subscribe("c")),
        (
            {"event": "hotsock.subscribe", "channel": "c", "data": {"token": "t", "x": 1}},
            Subscribe("c", "t"),
        ),
        ({"event": "hotsock.unsubscribe", "channel": "c", "data": 1}, Unsubscribe("c")),
        (react(), React("c", MESSAGE, "👍", "add")),
        (react(action="remove", reaction="x" * 100), React("c", MESSAGE, "x" * 100, "remove")),
        ({"event": "chat", "channel": "c"}, Publish("c", "chat", b"null")),
        ({"event": "chat", "channel": "c", "key": None, "new": {}}, Publish("c", "chat", b"null")),
        ({"event": "e" * 128, "channel": "c" * 256}, Publish("c" * 256, "e" * 128, b"null")),
        (
            {"event": "chat", "channel": "c", "scheduleExpressionTimezone": "UTC"},
            Publish("c", "chat", b"null"),  # protocol.md section 13: ignored on its own
        ),
    ],
)
def test_a_frame_asks_for(frame: dict[str, Any], command: Command) -> None:
    assert decode(frame) == command


@pytest.mark.parametrize(
    "data", ['{"b":1,"a":[ 1e400 ,\t"\\u0041"]}', "18446744073709551616", '"😀"', "1.0", "false"]
)
def test_data_is_kept_as_the_client_wrote_it(data: str) -> None:
    command = decode(f' {{"channel" : "c", "data" : {data} , "event" : "chat"}}\n')
    assert command == Publish("c", "chat", data.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "chat",
        "null",
        "1",
        '"chat"',
        "[]",
        "{}",
        '{"event":null}',
        '{"event":1}',
        '{"event":["chat"]}',
        '{"event":"chat"',
        '{"event":"chat"} {"event":"chat"}',
        "{'event':'chat'}",
        '{"event":"chat",}',
        '\ufeff{"event":"chat"}',
        '{"event":"chat","data":NaN}',
        '{"event":"chat","data":[-Infinity]}',
        '{"event":"chat","data":01}',
        '{"event":"chat","data":"\t"}',
        '{"event":"chat","data":"\0"}',
        r'{"event":"chat","data":"\ud800"}',
        r'{"event":"chat","x":"\ud800\u0041"}',
        r'{"event":"chat","data":{"\udc00":1}}',
        r'{"event":"chat","data":"\u0000"}',
        r'{"event":"chat","data":{"\u0000":1}}',
        r'{"event":"chat","x":[{"y":"\\\u0000"}]}',
        r'{"event":"\u0000","channel":"c"}',
        '{"event":"chat","channel":1}',
        '{"event":"chat","channel":{}}',
        '{"event":"chat","key":1}',
        '{"event":"chat","scheduleExpression":1}',
        '{"event":"chat","scheduleExpressionTimezone":[]}',
        '{"event":"chat","channel":"c","data":' + "[" * 101 + "]" * 101 + "}",
        '{"event":"chat","channel":"c","data":' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"event":"chat","channel":"c","x":' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"event":"chat","channel":"c","x":' + '{"x":' * 20_000,
    ],
)
def test_malformed(text: str) -> None:
    refused = refusal(text)
    assert refused.code is ErrorCode.INVALID_MESSAGE
    assert refused.message.endswith(".")


@pytest.mark.parametrize(
    ("frame", "code", "named"),
    [
        ({}, "INVALID_MESSAGE", "event"),
        ({"event": "chat", "channel": 5}, "INVALID_MESSAGE", "field channel"),
        ({"event": 5}, "INVALID_MESSAGE", "field event"),
        ({"event": "chat", "scheduleExpression": 5}, "INVALID_MESSAGE", "field scheduleExpression"),
        ({"event": ""}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "chat"}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "chat", "channel": ""}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "chat", "channel": "a*"}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "chat", "channel": "a b"}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "chat", "channel": "c" * 257}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "hotsock.subscribe"}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "hotsock.unsubscribe", "channel": "#"}, "INVALID_CHANNEL_NAME", "channel"),
        ({**react(), "channel": None}, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": "", "channel": "c"}, "INVALID_EVENT_NAME", "event"),
        ({"event": "#chat", "channel": "c"}, "INVALID_EVENT_NAME", "event"),
        ({"event": "ch*t", "channel": "c"}, "INVALID_EVENT_NAME", "event"),
        ({"event": "e" * 129, "channel": "c"}, "INVALID_EVENT_NAME", "event"),
        ({"event": "hotsock."}, "UNKNOWN_EVENT", "hotsock."),
        ({"event": "hotsock.pingg"}, "UNKNOWN_EVENT", "hotsock.pingg"),
        ({"event": "hotsock.connected"}, "UNKNOWN_EVENT", "hotsock.connected"),
        ({"event": "chat", "channel": "c", "data": "x" * 32767}, "DATA_TOO_LARGE", "data"),
        ({"event": "chat", "channel": "c", "data": [10**1000]}, "INVALID_MESSAGE", "data holds"),
        ({"event": "Hotsock.x", "channel": "c"}, "INVALID_EVENT_NAME", "event"),
        (
            {"event": "chat", "channel": "c", "scheduleExpression": "rate(5 minutes)"},
            "INVALID_SCHEDULE_EXPRESSION",
            "scheduleExpression",
        ),
        ({"event": "hotsock.subscribe", "channel": "c", "data": 1}, "INVALID_MESSAGE", "data"),
        ({"event": "hotsock.subscribe", "channel": "c", "data": "t"}, "INVALID_MESSAGE", "data"),
        ({"event": "hotsock.subscribe", "channel": "c", "data": []}, "INVALID_MESSAGE", "data"),
        (
            {"event": "hotsock.subscribe", "channel": "c", "data": {"token": 1}},
            "INVALID_MESSAGE",
            "field token",
        ),
        ({**react(), "data": None}, "INVALID_MESSAGE", "data"),
        (react(messageId=...), "INVALID_MESSAGE", "messageId"),
        (react(messageId=None), "INVALID_MESSAGE", "field messageId"),
        (react(reaction=1), "INVALID_MESSAGE", "field reaction"),
        (react(action=True), "INVALID_MESSAGE", "field action"),
        (react(action="Add"), "INVALID_MESSAGE", "data.action"),
        (react(reaction=""), "INVALID_REACTION", "data.reaction"),
        (react(reaction=" \u2003"), "INVALID_REACTION", "data.reaction"),
        (react(reaction="a#"), "INVALID_REACTION", "data.reaction"),
        (react(reaction="👍" * 26), "INVALID_REACTION", "data.reaction"),
    ],
)
def test_a_refusal_names_the_field(frame: dict[str, Any], code: str, named: str) -> None:
    refused = refusal(frame)
    assert refused.code == code
    assert named in refused.message


def test_a_refusal_is_short_whatever_was_sent() -> None:
    assert len(refusal({"event": "hotsock." + "x" * 100_000}).message) < 300
    assert len(refusal({"event": {"x" * 100_000: 1}}).message) < 300


@pytest.mark.parametrize("levels", [1, 100])
def test_a_hundred_levels_are_accepted(levels: int) -> None:
    data = "[" * levels + "]" * levels
    assert decode(f'{{"event":"chat","channel":"c","data":{data}}}') == Publish(
        "c", "chat", data.encode()
    )


def test_data_of_exactly_the_limit_is_accepted() -> None:
    assert isinstance(decode({"event": "chat", "channel": "c", "data": "x" * 32766}), Publish)


def test_names_are_not_normalised() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    one, other = (decode({"event": "chat", "channel": name}) for name in (composed, decomposed))
    assert (one, other) == (
        Publish(composed, "chat", b"null"),
        Publish(decomposed, "chat", b"null"),
    )


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
events = st.sampled_from([*commands.DECODERS, "chat", "hotsock.x", ""])
fields = ["channel", "data", "key", "scheduleExpression", "token", "messageId", "action"]
shaped = st.builds(
    lambda event, rest: {"event": event, **rest},
    events | junk,
    st.dictionaries(st.sampled_from(fields), junk | st.dictionaries(st.sampled_from(fields), junk)),
)


@given(st.text() | shaped.map(json.dumps) | junk.map(json.dumps))
@example('{"event":"chat","data":' + "[" * 50_000)
def test_any_text_is_a_command_or_a_refusal(text: str) -> None:
    match outcome(text):
        case ProtocolError(message=sentence):
            assert sentence.endswith(".")
        case other:
            assert isinstance(other, Command)


def outcome(text: str) -> Command | ProtocolError:
    try:
        return decode(text)
    except ProtocolError as refused:
        return refused


@pytest.mark.parametrize(
    ("text", "too_large"),
    [
        ("x" * MAX_FRAME_BYTES, False),
        ("x" * (MAX_FRAME_BYTES + 1), True),
        ("é" * (MAX_FRAME_BYTES // 2), False),
        ("é" * (MAX_FRAME_BYTES // 2) + "x", True),
        ("😀" * (MAX_FRAME_BYTES // 4), False),
        ("😀" * (MAX_FRAME_BYTES // 4) + "x", True),
    ],
)
def test_a_frame_has_at_most_128_kib_of_utf8(text: str, too_large: bool) -> None:
    assert oversize(text) is too_large
    assert oversize(text.encode()) is too_large

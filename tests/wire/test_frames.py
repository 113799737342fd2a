"""What is no frame, or one with a wrong field (protocol.md sections 7 and 17)."""

import pytest

from tests.support.connecting import connect
from tests.support.servers import Server

MALFORMED = {
    "not JSON": "hello",
    "nothing": "",
    "an array": "[]",
    "text": '"hotsock.ping"',
    "null": "null",
    "two values": '{"event":"hotsock.ping"} {}',
    "without event": '{"channel":"c"}',
    "event null": '{"event":null,"channel":"c"}',
    "event a number": '{"event":1}',
    "binary": b'{"event":"hotsock.ping"}',
}


@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_frame_is_told_and_the_connection_goes_on(
    any_server: Server, frame: str | bytes
) -> None:
    async with connect(any_server) as client:
        await client.send(frame)
        refused = await client.receive("hotsock.error")
        assert refused["error"]["code"] == "INVALID_MESSAGE"
        assert "event" not in refused["error"]
        await client.nothing()


WRONG_FIELDS = [
    ("chat", '"channel":1', "INVALID_MESSAGE"),
    ("chat", '"channel":["c"]', "INVALID_MESSAGE"),
    ("chat", '"data":1', "INVALID_CHANNEL_NAME"),
    ("chat", '"channel":null', "INVALID_CHANNEL_NAME"),
    ("hotsock.subscribe", '"data":{}', "INVALID_CHANNEL_NAME"),
    ("hotsock.subscribe", '"channel":"c","data":"token"', "INVALID_MESSAGE"),
    ("hotsock.subscribe", '"channel":"c","data":{"token":1}', "INVALID_MESSAGE"),
    ("hotsock.unsubscribe", '"channel":{}', "INVALID_MESSAGE"),
    ("hotsock.messageReaction", '"channel":"c"', "INVALID_MESSAGE"),
    ("hotsock.messageReaction", '"channel":"c","data":[]', "INVALID_MESSAGE"),
    ("hotsock.connected", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.subscribed", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.error", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.messageReactionAdded", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.memberAdded", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.keepAlive", '"channel":"c"', "UNKNOWN_EVENT"),
]


@pytest.mark.parametrize(("event", "fields", "code"), WRONG_FIELDS)
async def test_a_frame_with_a_wrong_field_is_told(
    any_server: Server, event: str, fields: str, code: str
) -> None:
    channels = {"*": {"subscribe": True, "messages": {"*": {"publish": True}}}}
    async with connect(any_server, uid="jim", channels=channels) as client:
        await client.send(f'{{"event":"{event}",{fields}}}')
        refused = await client.receive("hotsock.error")
        assert refused["error"]["code"] == code
        assert refused["error"]["event"] == event
        await client.nothing()

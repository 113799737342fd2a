"""Work that is cheap to ask for: each connection has a budget of it (protocol.md section 17)."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.hostile.conftest import unharmed
from tests.support.client import Client
from tests.support.connecting import connect
from tests.support.servers import Server, start_server

SETTINGS = {"CLIENT_FRAMES_PER_SECOND": "40"}  # 400 calls at once, but 800 units of work
PAGES = 800 // 3
ANYTHING = {
    "*": {
        "subscribe": True,
        "historyStart": 0,
        "messages": {"chat": {"publish": True, "echo": True, "store": 60}},
        "storage": {"*": {"get": True}},
    }
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        start_server("uvicorn", tmp_path_factory.mktemp("limited"), **SETTINGS) as server,
        unharmed(server),
    ):
        yield server


async def pages(client: Client, channel: str, count: int) -> int:
    """How many of so many calls are refused."""
    calls = (client.call("listMessages", {"channel": channel}) for _ in range(count))
    answers = await asyncio.gather(*calls)
    refusals = [answered for answered in answers if answered.status != 200]
    assert {answered.refusal for answered in refusals} <= {(429, "RATE_LIMITED")}
    return len(refusals)


async def test_who_has_asked_for_too_much_is_refused_and_then_closed(
    limited: Server, channel: str
) -> None:
    async with (
        connect(limited, channels=ANYTHING) as client,
        connect(limited, channels=ANYTHING) as other,
    ):
        await client.subscribe(channel)
        assert await pages(client, channel, PAGES - 20) == 0
        assert await pages(client, channel, 60) > 0
        await other.subscribe(channel)
        assert await pages(other, channel, 1) == 0

        get = {"event": "hotsock.channelStorageGet", "channel": channel, "key": "k"}
        end = {"event": "hotsock.unsubscribe", "channel": channel}
        large = {"event": "chat", "channel": channel, "data": 1, "more": "x" * 100_000}
        small = {"event": "chat", "channel": channel, "data": "but messages go on"}
        await client.send(*[get] * 50, end, large, small)
        *_, first, second, _ = await client.until(small["data"])
        assert first["error"]["code"] == second["error"]["code"] == "RATE_LIMITED"
        assert (first["error"]["event"], second["error"]["event"]) == (end["event"], "chat")

        await client.send(*[get] * 100)  # below the limit of frames
        assert (await client.closed())[0] == 4429


async def test_what_a_client_does_at_first_is_free(server: Server, channel: str) -> None:
    """Subscribes 1,000 times at once, and reads a page of 100 of these channels."""
    async with connect(server, channels=ANYTHING) as client:
        names = [f"{channel}-{at}" for at in range(1000)]
        await client.send(*({"event": "hotsock.subscribe", "channel": name} for name in names))
        for name in names:
            assert (await client.receive("hotsock.subscribed"))["channel"] == name
        for name in names[:100]:
            assert await pages(client, name, 1) == 0

"""What a connection is like while it lasts, and what is left of it (protocol.md sections 6, 17)."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, eventually
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import PASSING, room
from tests.support.kinds import handshake_status
from tests.support.raw import cut_handshake
from tests.support.servers import Server, start_server, token
from tests.support.stored import rows, rows_of

# --- rule 5: pings, pongs, heartbeats -----------------------------------------------------------


@pytest.mark.parametrize(
    "ping",
    [
        '{"event":"hotsock.ping"}',
        '{"event":"hotsock.ping","data":{}}',
        '{"event":"hotsock.ping","data":"{}","channel":null}',
        ' { "event" : "hotsock.ping" } ',
    ],
)
async def test_a_ping_is_answered(any_server: Server, ping: str) -> None:
    async with connect(any_server) as client:
        await client.send(ping)
        assert (await client.receive()).text == '{"event":"hotsock.pong","data":"{}"}'


@pytest.mark.parametrize("event", ["hotsock.pong", "hotsock.heartbeat"])
async def test_is_accepted_in_silence(any_server: Server, event: str) -> None:
    async with connect(any_server) as client:
        await client.send({"event": event}, {"event": event, "data": "{}"})
        await client.nothing()


# --- rule 7: the end ----------------------------------------------------------------------------


async def close_frame(client: Client) -> None:
    await client.socket.close()


async def reset(client: Client) -> None:
    client.reset()


async def half_close(client: Client) -> None:
    client.socket.transport.write_eof()


@pytest.mark.parametrize("end", [close_frame, reset, half_close])
async def test_a_secret_stops_working_when_its_connection_ends(
    every_server: Server, channel: str, end: Any
) -> None:
    async with subscribed(every_server, channel) as client:
        assert await client.history(channel) == []
        await end(client)
        await credentials_end(client, channel)


async def test_a_secret_does_not_outlive_the_close_handshake(
    every_server: Server, channel: str
) -> None:
    """Not even for the moment until its row has gone."""
    for _ in range(20):
        async with subscribed(every_server, channel) as client:
            assert await client.history(channel) == []
            await client.socket.close()
            answered = await client.call("listMessages", {"channel": channel})
            assert answered.refusal == (401, "INVALID_CONNECTION")


async def test_a_secret_ends_with_the_servers_close_frame(
    every_server: Server, channel: str
) -> None:
    """Also while its client does not answer the frame, so that the connection is still there."""
    async with subscribed(every_server, channel, uid=channel) as client:
        await client.send(*['{"event":"hotsock.ping"}'] * 1400)
        client.socket.transport.write = lambda data: None  # type: ignore[method-assign]

        async def told() -> Any:
            await asyncio.sleep(0)
            return client.socket.protocol.close_rcvd

        assert (await eventually(told)).code == 4429
        answered = await client.call("listMessages", {"channel": channel})
        assert answered.refusal == (401, "INVALID_CONNECTION")


async def credentials_end(client: Client, channel: str) -> None:
    async def refused() -> bool:
        answered = await client.call("listMessages", {"channel": channel})
        return answered.status == 401 and answered.code == "INVALID_CONNECTION"

    assert await eventually(refused)


async def test_abrupt_closes_leave_no_rows(every_server: Server, channel: str) -> None:
    """Forty at once, each cut at another moment of its life, the first within its handshake."""
    channels = {channel: {"autoSubscribe": True, "messages": {"chat": {**PASSING, "store": -1}}}}
    jwt = token(every_server, uid=channel, channels=channels)

    async def cut(turn: int) -> None:
        if turn % 4 == 0:
            await cut_handshake(every_server, jwt)
            return
        client = await open_client(every_server, jwt)
        if turn % 4 > 1:
            await client.receive("hotsock.subscribed")
        if turn % 4 == 3:
            await client.publish(channel, turn)
        client.reset()

    await asyncio.gather(*(cut(turn) for turn in range(40)))
    async with connect(every_server, jwt=jwt) as alive:

        async def alone() -> bool:
            await alive.settle()
            left = rows(every_server, "SELECT id FROM chat_connection WHERE uid = ?", channel)
            return left == [(alive.id,)]

        assert await eventually(alone)
        assert rows_of(every_server, alive.id) == 2


# --- rule 8: one after another ------------------------------------------------------------------


async def test_frames_are_handled_in_the_order_in_which_they_arrive(
    every_server: Server, channel: str
) -> None:
    """All at once, slow ones (stored, subscribing) among quick ones."""
    chat = {"event": "chat", "channel": channel, "data": 1}
    wave = {"event": "wave", "channel": channel, "data": 2}
    subscribe = {"event": "hotsock.subscribe", "channel": channel}
    unsubscribe = {"event": "hotsock.unsubscribe", "channel": channel}
    ping = {"event": "hotsock.ping"}
    steps = [
        (ping, "hotsock.pong"),
        (chat, "NOT_SUBSCRIBED"),
        (subscribe, "hotsock.subscribed"),
        (chat, "chat"),
        (wave, "wave"),
        (ping, "hotsock.pong"),
        (chat, "chat"),
        (subscribe, "ALREADY_SUBSCRIBED"),
        (wave, "wave"),
        (unsubscribe, "hotsock.unsubscribed"),
        (wave, "NOT_SUBSCRIBED"),
        (unsubscribe, "NOT_SUBSCRIBED"),
        (subscribe, "hotsock.subscribed"),
        (wave, "wave"),
        (ping, "hotsock.pong"),
    ]
    echo = {"publish": True, "echo": True}
    messages = {"chat": {**echo, "store": -1}, "wave": echo}
    async with connect(every_server, channels=room(channel, messages)) as client:
        await client.send(*(frame for frame, _ in steps))
        got = [await client.receive() for _ in steps]
    assert [frame.get("error", {}).get("code", frame["event"]) for frame in got] == [
        reply for _, reply in steps
    ]


# --- rates, shutdown, slow readers --------------------------------------------------------------


async def test_500_frames_at_once_are_never_limited(any_server: Server) -> None:
    async with connect(any_server) as client:
        await client.send(*['{"event":"hotsock.ping"}'] * 500)
        for _ in range(500):
            await client.receive("hotsock.pong")


async def test_who_goes_on_sending_too_fast_is_told_then_closed_then_refused(
    any_server: Server, channel: str
) -> None:
    jwt = token(any_server, uid=f"fast-{channel}")
    async with connect(any_server, jwt=jwt) as client:
        await client.send(*['{"event":"hotsock.ping"}'] * 2000)
        answered = 0
        while (frame := await client.receive())["event"] == "hotsock.pong":
            answered += 1
        assert answered >= 500
        assert frame["error"]["code"] == "RATE_LIMITED"
        assert frame["error"]["event"] == "hotsock.ping"
        assert (await client.closed())[0] == 4429
    await refused_for_now(any_server, jwt)


async def refused_for_now(server: Server, jwt: str) -> None:
    """Whoever was closed for abuse and is back at once; nobody else is (rule 9)."""
    with pytest.raises(Refused) as refused:
        await open_client(server, jwt)
    assert refused.value.status == handshake_status(server, 429)
    async with connect(server, uid="another") as other:
        await other.nothing()


async def test_a_restarting_server_closes_with_1012_and_refuses_handshakes(tmp_path: Path) -> None:
    with start_server("uvicorn", tmp_path) as server:
        clients = [await open_client(server, token(server)) for _ in range(5)]
        closed = [asyncio.create_task(end_of(client)) for client in clients]
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        ends = await asyncio.gather(*closed)
        assert {code for code, _ in ends} == {1012}
        times = sorted(moment for _, moment in ends)
        assert times[-1] - times[0] > 0.1  # staggered, over a second for ten and more
        await asyncio.gather(*(client.aclose() for client in clients))
        with pytest.raises((Refused, OSError)):
            await open_client(server, token(server))


async def end_of(client: Client) -> tuple[int, float]:
    """Its close code, and when it came."""
    code, _ = await client.closed()
    return code, time.monotonic()


async def test_who_reads_too_slowly_is_closed_and_nobody_waits_for_it(
    server: Server, channel: str
) -> None:
    """uvicorn alone: daphne has no back-pressure (design.md section 5)."""
    data, count = "x" * 30_000, 700
    messages = {"flood": {"publish": True}}
    async with (
        subscribed(server, channel, messages) as publisher,
        subscribed(server, channel, messages) as reader,
    ):
        jwt = token(server, uid=f"slow-{channel}", channels=room(channel))
        slow = await open_slow(server, jwt, channel)
        for _ in range(count):
            await publisher.publish(channel, data, "flood")
            await reader.receive("flood")
        await publisher.nothing()
        assert (await slow.closed())[0] in (4410, 1006)
        await credentials_end(slow, channel)
        await refused_for_now(server, jwt)
        await slow.aclose()


async def open_slow(server: Server, jwt: str, channel: str) -> Client:
    """A subscriber that stops reading: its library stops at the first frame that nobody takes."""
    slow = await open_client(server, jwt, max_queue=1)
    await slow.subscribe(channel)
    return slow

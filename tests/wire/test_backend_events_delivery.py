"""How backend events reach the webhook (protocol.md section 16): in order, at least once, under a
stable id, whatever the receiver does and however the server ends."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import eventually
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import SHORT_LEASE, Postgres, Server, keys_of, start_server
from tests.support.stored import rows
from tests.support.webhook_receiver import Choice, Delivery, Receiver
from tests.wire.test_backend_events import CHAT


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def server(receiver: Receiver, tmp_path: Path) -> Iterator[Server]:
    """On SQLite: what PostgreSQL does differently, tests/webhooks/test_sender.py has."""
    with start_server("uvicorn", tmp_path, **receiver.environment, **SHORT_LEASE) as server:
        yield server


def published(*channels: str, answered: int | None = None) -> Choice:
    def chosen(delivery: Delivery) -> bool:
        return (
            delivery.type == "messagePublished"
            and delivery.channel in channels
            and answered in (None, delivery.answered)
        )

    return chosen


def said(delivery: Delivery) -> object:
    return delivery.body["data"]["data"]


async def test_the_events_of_a_channel_are_in_its_order(server: Server, receiver: Receiver) -> None:
    """Also where a stored message follows one that is not, and where attempts fail between."""
    failures = iter(range(1000))

    def status(delivery: Delivery) -> int:
        return 503 if next(failures) in (20, 61) else 200

    receiver.status = status
    channels = ["one", "two", "three"]

    async def publish(at: int) -> None:
        channel = channels[at % 3]
        async with subscribed(server, channel, CHAT, uid=f"u{at}") as client:
            for number in range(20):
                await client.publish(channel, [at, number], ("chat", "typing")[number % 2])
            await client.settle()

    await asyncio.gather(*(publish(at) for at in range(6)))
    found = await receiver.wait(120, published(*channels, answered=200))
    assert len({delivery.id for delivery in found}) == 120
    for channel in channels:
        of_channel = [delivery.body["data"] for delivery in found if delivery.channel == channel]
        stored = [data["id"] for data in of_channel if data["event"] == "chat"]
        assert len(stored) == 20
        assert stored == sorted(stored)
    for at in range(6):
        numbers = [number for client, number in map(said, found) if client == at]
        assert numbers == list(range(20))


async def test_one_that_fails_is_sent_again_under_its_id_and_holds_up_no_other_channel(
    server: Server, receiver: Receiver
) -> None:
    failures = iter([500, 500])

    def status(delivery: Delivery) -> int:
        return next(failures, 200) if published("bad")(delivery) else 200

    receiver.status = status
    claims = {"uid": "jim", "channels": room("bad", CHAT) | room("good", CHAT)}
    async with connect(server, **claims) as jim:
        for channel in ("bad", "good"):
            await jim.subscribe(channel)
        await jim.store("bad", 1)
        await jim.store("bad", 2)
        await receiver.wait(1, published("bad"))
        await jim.store("good", 3)
        await receiver.wait(1, published("good"))
        *failed, one, two = await receiver.wait(4, published("bad"))
    assert [said(delivery) for delivery in (*failed, one, two)] == [1, 1, 1, 2]
    assert len({delivery.id for delivery in (*failed, one)}) == 1
    assert two.id != one.id
    stamps = [int(delivery.headers["webhook-timestamp"]) for delivery in (*failed, one)]
    assert stamps == sorted(stamps)


async def test_nothing_is_lost_where_the_server_is_killed(
    server: Server, receiver: Receiver
) -> None:
    receiver.status = lambda delivery: 503 if delivery.type == "messagePublished" else 200
    async with subscribed(server, "kept", CHAT, uid="jim") as jim:
        for number in range(30):
            await jim.publish("kept", number)
        ids = [(await jim.receive("chat"))["id"] for _ in range(30)]
        [failed] = await receiver.wait(1, published("kept"))
        await eventually(lambda: noted(server))
        server.kill()
    receiver.status = lambda delivery: 200
    server.restart()
    found = await receiver.wait(30, published("kept", answered=200))
    assert [delivery.body["data"]["id"] for delivery in found] == ids
    assert found[0].id == failed.id


async def noted(server: Server) -> bool:
    """Whether it is in the database that an attempt failed: no claim has to end first."""
    found = rows(server, "SELECT count(*) FROM chat_backendevent WHERE attempts > 0")
    return found != [(0,)]


async def test_what_is_left_at_a_shutdown_is_sent_after_the_restart(
    server: Server, receiver: Receiver
) -> None:
    """At once, though an attempt was under way."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(delivery: Delivery) -> int:
        loop.call_soon_threadsafe(asked.set)
        time.sleep(3)
        return 503

    receiver.status = hang
    async with subscribed(server, "kept", CHAT, uid="jim") as jim:
        await jim.store("kept", 1)
        await asyncio.wait_for(asked.wait(), 10)
    await asyncio.to_thread(server.stop)
    receiver.status = lambda delivery: 200
    await asyncio.to_thread(server.restart)
    [delivery] = await receiver.wait(1, published("kept", answered=200))
    assert said(delivery) == 1
    assert "Traceback" not in server.log.read_text()


async def test_one_that_is_gone_is_parked_and_the_next_ones_go_on(
    server: Server, receiver: Receiver
) -> None:
    receiver.status = lambda delivery: 410 if delivery.body["data"].get("data") == "no" else 200
    async with subscribed(server, "kept", CHAT, uid="jim") as jim:
        await jim.store("kept", "no")
        await jim.store("kept", "yes")
        _, delivery = await receiver.wait(2, published("kept"))
        assert said(delivery) == "yes"

    async def parked() -> bool:
        found = rows(server, "SELECT last_error, next_attempt_at, attempts FROM chat_backendevent")
        return found == [("HTTP 410", None, 1)]

    await eventually(parked)


async def test_no_redirect_is_followed_and_no_secret_logged(
    server: Server, receiver: Receiver
) -> None:
    receiver.status = lambda delivery: 302 if len(receiver.deliveries) < 2 else 200
    async with subscribed(server, "kept", CHAT, uid="jim") as jim:
        await jim.store("kept", 1)
        await receiver.wait(1, published("kept", answered=200))
    log = server.log.read_text()
    assert "The webhook failed and is tried again: HTTP 302" in log
    assert receiver.secret.removeprefix("whsec_") not in log
    assert "/hook" not in log


async def test_two_processes_deliver_each_event_once(
    receiver: Receiver, postgres: Postgres, redis_url: str, tmp_path: Path
) -> None:
    """Where one database serves two: each hears of its own at once, and finds the other's."""
    env = receiver.environment | {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url}
    with (
        start_server("uvicorn", tmp_path, **env) as first,
        start_server("uvicorn", tmp_path, **env, **keys_of(first)) as second,
    ):

        async def publish(server: Server, at: int) -> None:
            async with subscribed(server, "both", CHAT, uid=f"u{at}") as client:
                for number in range(50):
                    await client.publish("both", [at, number])
                await client.settle()

        await asyncio.gather(publish(first, 0), publish(second, 1))
        found = await receiver.wait(100, published("both"))
        ids = [delivery.body["data"]["id"] for delivery in found]
        assert ids == sorted(set(ids))

"""Publishing from Python: in a view of the server's own, and in other processes (chat.api)."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support import forked
from tests.support.calls import http_client
from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.servers import ROOT, Postgres, Server, start_server
from tests.support.stored import rows

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.wire.application.settings"}


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def application(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """On each server and on each database."""
    env = dict(SETTINGS)
    if request.param == "daphne":
        postgres: Postgres = request.getfixturevalue("postgres")
        env["DATABASE_URL"] = postgres.database()
    directory = tmp_path_factory.mktemp(f"application-{request.param}")
    with start_server(request.param, directory, **env) as server:
        yield server


async def post(server: Server, path: str, data: str = "hi", **query: Any) -> httpx.Response:
    """Calls a view of the application's own."""
    async with http_client(server) as http:
        return await http.post(path, params=query, content=data)


# --- in a view of the running server ------------------------------------------------------------


@pytest.mark.parametrize("path", ["/note", "/anote", "/beside-the-loop"])
@pytest.mark.parametrize("store", [0, -1])
async def test_a_view_publishes(application: Server, channel: str, path: str, store: int) -> None:
    async with subscribed(application, channel) as client:
        answered = await post(application, path, channel=channel, store=store)
        frame = await client.receive("chat")
        id = answered.json()["id"]
        placed = {"position": 1} if store else {}
        assert frame == {"id": id, "event": "chat", "channel": channel, "data": "hi", **placed}
        assert await client.history(channel) == ([frame] if store else [])
        if path == "/anote":
            assert answered.json()["subscriptions"] == 1


async def test_a_view_deletes(application: Server, channel: str) -> None:
    async with subscribed(application, channel) as client:
        answered = await post(application, "/anote", channel=channel, store=-1, delete=1)
        assert (await client.receive("chat"))["id"] == answered.json()["id"]
        deleted = await client.receive("hotsock.messageDeleted")
        assert deleted["data"] == {"messageId": answered.json()["id"]}
        assert await client.history(channel) == []


@pytest.mark.parametrize("store", [0, -1])
async def test_what_a_view_commits_is_announced_with_the_commit(
    application: Server, channel: str, store: int
) -> None:
    query = {"channel": channel, "store": store, "atomic": 0.3}
    async with subscribed(application, channel) as client:
        begun = time.monotonic()
        answering = asyncio.create_task(post(application, "/note", **query))
        frames = [await client.receive("chat")]
        assert time.monotonic() - begun >= 0.3
        history = await client.history(channel)
        frames.append(await client.receive("chat"))
        pending = application.env["DATABASE_URL"].startswith("postgres")
        assert (await answering).json()["id"] == (None if pending else frames[1]["id"])
        assert history == (frames if store else [])
        await client.nothing()


@pytest.mark.parametrize("store", [0, -1])
async def test_what_a_view_rolls_back_is_neither_stored_nor_announced(
    application: Server, channel: str, store: int
) -> None:
    async with subscribed(application, channel) as client:
        query = {"channel": channel, "store": store, "atomic": 0, "fail": 1}
        assert (await post(application, "/note", **query)).status_code == 204
        await post(application, "/note", "after", channel=channel)
        assert (await client.receive("chat"))["data"] == "after"
        assert await client.history(channel) == []


async def test_commits_of_views_and_of_clients_come_in_one_order(
    application: Server, channel: str
) -> None:
    async with subscribed(application, channel) as client:
        await asyncio.gather(
            *(post(application, "/note", channel=channel, store=-1, atomic=0.01) for _ in range(6)),
            *(client.publish(channel, number) for number in range(20)),
        )
        frames = [await client.receive("chat") for _ in range(32)]
        assert [frame["id"] for frame in frames] == sorted(frame["id"] for frame in frames)
        assert await client.whole_history(channel) == frames
        await client.nothing()


async def test_on_the_event_loop_it_refuses_to_wait(application: Server, channel: str) -> None:
    async with http_client(application) as http:
        answered = await http.post("/on-the-loop", params={"channel": channel})
        assert answered.text == "SynchronousOnlyOperation"


# --- in another process -------------------------------------------------------------------------


def run(server: Server, script: str) -> subprocess.CompletedProcess[str]:
    """A script of the application's, on the database of the server and beside it."""
    prelude = "import django; django.setup()\nfrom django.db import transaction\n"
    prelude += "from chat import api\n"
    outcome = forked.run(["-c", f"{prelude}{script}"], cwd=ROOT, env=server.env)
    outcome.check_returncode()
    return outcome


async def test_what_another_process_stores_arrives_in_order(
    every_server: Server, channel: str
) -> None:
    """Together with what is published here at the same time, and nothing twice."""
    script = f"""
for number in range(30):
    if number % 3:
        api.publish({channel!r}, "chat", number, store=-1)
    else:
        with transaction.atomic():
            api.publish({channel!r}, "chat", number, store=-1)
"""
    async with subscribed(every_server, channel) as client:
        running = asyncio.create_task(asyncio.to_thread(run, every_server, script))
        own = 0
        while not running.done():
            await client.publish(channel, "own")
            await client.settle()
            own += 1
            await asyncio.sleep(0.005)  # as people publish: not without a pause
        await running
        frames = [await client.receive("chat") for _ in range(30 + own)]
        assert [frame["data"] for frame in frames if frame["data"] != "own"] == list(range(30))
        assert [frame["id"] for frame in frames] == sorted(frame["id"] for frame in frames)
        assert await client.whole_history(channel) == frames
        await client.nothing()


async def test_all_that_another_process_changes_is_noticed(
    every_server: Server, channel: str
) -> None:
    storage = {"k": {"observe": True}}
    async with subscribed(every_server, channel, channels=room(channel, storage=storage)) as client:
        message = await client.store(channel)
        await client.receive("chat")
        script = f"""
api.set_storage({channel!r}, "k", {{"a": 1}})
api.react({channel!r}, {message!r}, "👍", "robot", umd=1)
print(api.channel_info({channel!r}).subscriptions_count)
"""
        outcome = await asyncio.to_thread(run, every_server, script)
        assert outcome.stdout == "1\n"
        assert (await client.receive("hotsock.channelStorageUpdated"))["data"] == {"a": 1}
        reaction = await client.receive("hotsock.messageReactionAdded")
        assert reaction["meta"] == {"uid": "robot", "umd": 1}
        await client.nothing()


async def test_another_process_rolls_back(every_server: Server, channel: str) -> None:
    script = f"""
try:
    with transaction.atomic():
        api.publish({channel!r}, "chat", 1, store=-1)
        raise LookupError
except LookupError:
    api.publish({channel!r}, "chat", 2, store=-1)
"""
    async with subscribed(every_server, channel) as client:
        await asyncio.to_thread(run, every_server, script)
        assert (await client.receive("chat"))["data"] == 2
        assert [message["data"] for message in await client.history(channel)] == [2]


async def test_another_process_schedules_and_cancels(every_server: Server, channel: str) -> None:
    script = f"""
from datetime import datetime, timedelta, UTC
soon, late = datetime.now(UTC) + timedelta(seconds=2), datetime.now(UTC) + timedelta(days=1)
api.publish({channel!r}, "chat", "soon", at=soon)
arn = api.publish({channel!r}, "chat", "late", at=late).schedule_arn
print(api.cancel_schedule(arn), api.cancel_schedule(arn), api.cancel_schedule("\\0"))
"""
    async with subscribed(every_server, channel) as client:
        outcome = await asyncio.to_thread(run, every_server, script)
        assert outcome.stdout == "True False False\n"
        assert (await client.receive("chat"))["data"] == "soon"
    sql = "SELECT 1 FROM chat_schedule s JOIN chat_channel c ON c.id = s.channel_id WHERE name = ?"
    assert rows(every_server, sql, channel) == []


@pytest.mark.parametrize("autocommit", [True, False])
async def test_what_is_not_stored_arrives_from_another_process_on_postgresql(
    postgres_server: Server, channel: str, autocommit: bool
) -> None:
    script = f"""
transaction.set_autocommit({autocommit})
for number in range(3):
    api.publish({channel!r}, "chat", number)
if not {autocommit}:
    transaction.commit()
"""
    async with subscribed(postgres_server, channel) as client:
        await asyncio.to_thread(run, postgres_server, script)
        assert [(await client.receive("chat"))["data"] for _ in range(3)] == [0, 1, 2]


async def test_what_is_not_stored_is_refused_in_another_process(
    any_server: Server, channel: str
) -> None:
    script = f"""
for options in ({{}}, {{"deduplication_id": "x"}}):
    try:
        api.publish({channel!r}, "chat", **options)
    except api.ProtocolError as error:
        print(error.code, error.message)
"""
    outcome = await asyncio.to_thread(run, any_server, script)
    lines = outcome.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("INVALID_REQUEST On SQLite, a message") for line in lines)
    assert rows(any_server, "SELECT 1 FROM chat_channel WHERE name = ?", channel) == []

"""kill -9 of a server process under load, again and again on one database (P1, P2)."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.faults import checks
from tests.faults.conftest import Fault
from tests.faults.recording import Connection, Publisher, Refused, call, until, whole_history
from tests.support.calls import http_client
from tests.support.servers import SHORT_LEASE, Server, keys_of, start_server
from tests.support.stored import rows

KILLS = 3
PUBLISHERS = 3
WATCHERS = 2
WINDOW = 20
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'chat server'"
STORED_SINCE = "SELECT id FROM chat_message WHERE id > ? ORDER BY number"


@dataclass
class Life:
    """What clients of a server knew when it was killed."""

    watchers: list[Connection] = field(default_factory=list)
    publishers: list[Publisher] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    def acknowledged(self, channel: str) -> set[str]:
        """By an answer, by a copy to the sender, or by anybody's having seen it."""
        echoes = (id for publisher in self.publishers for id in publisher.acknowledged)
        seen = (id for watcher in self.watchers for id in watcher.ids(channel))
        return {*self.answered, *echoes, *seen}


Start = Callable[[], Server]


@pytest.fixture(params=["sqlite", "postgresql"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts a server on the rows of those before it, on any port: theirs may be taken by now."""
    env = {"CLIENT_FRAMES_PER_SECOND": "0", **SHORT_LEASE}
    if request.param == "postgresql":
        env |= {"DATABASE_URL": request.getfixturevalue("postgres").database()}
    servers: list[Server] = []

    def start() -> Server:
        servers.append(start_server("uvicorn", tmp_path, **env))
        env.update(keys_of(servers[0]))
        return servers[-1]

    yield start
    servers[-1].stop()


async def test_kill(start: Start, fault: Fault, channel: str) -> None:
    last = ""
    for _ in range(fault.times(KILLS)):
        server = start()
        life = await live_and_die(server, fault, channel)
        if server.env["DATABASE_URL"].startswith("postgres"):  # it may still do what it was sent
            await until(lambda server=server: not rows(server, SESSIONS), "its sessions have ended")
        stored = [id for (id,) in rows(server, STORED_SINCE, last)]
        acknowledged = life.acknowledged(channel)
        fault.count("kills")
        fault.count("acknowledged", len(acknowledged))
        fault.none("acknowledged messages missing", checks.missing(acknowledged, stored))
        for watcher in life.watchers:
            live = watcher.ids(channel)
            fault.none_of(checks.connection_problems(live, stored, first=stored[0]))
        last = stored[-1] if stored else last
    fault.none("partial rows", checks.partial_rows(server, channel))
    fault.none("id inversions", checks.row_inversions(server))
    history = await whole_history(start(), channel)
    fault.none("id inversions", checks.inversions(history))
    assert history == [id for (id,) in rows(server, STORED_SINCE, "")]


async def live_and_die(server: Server, fault: Fault, channel: str) -> Life:
    """Under load for a random moment, then killed; returns when every client has noticed."""
    life = Life()
    for number in range(WATCHERS):
        life.watchers.append(await Connection.open(server, f"watcher{number}"))
    for number in range(PUBLISHERS):
        connection = await Connection.open(server, f"publisher{number}")
        life.publishers.append(Publisher(connection, channel, WINDOW))
    everybody = [*life.watchers, *(publisher.connection for publisher in life.publishers)]
    await asyncio.gather(*(connection.subscribe(channel) for connection in everybody))
    working = [asyncio.create_task(each.publish_for_ever()) for each in life.publishers]
    working.append(asyncio.create_task(answer(server, life, channel)))
    await until(lambda: life.answered and life.watchers[0].ids(channel), "the load is on")
    await asyncio.sleep(fault.random.uniform(0.0, 0.1))
    server.kill()
    await until(lambda: not any(each.open_ for each in everybody), "all have noticed")
    await asyncio.gather(*working)
    return life


async def answer(server: Server, life: Life, channel: str) -> None:
    """Publishes over HTTP for as long as somebody answers."""
    connection = life.watchers[0]
    body = {"channel": channel, "event": "chat", "data": "over HTTP", "eagerIdGeneration": True}
    with contextlib.suppress(httpx.TransportError, Refused):
        async with http_client(server) as http:
            while True:
                answered = await call(http, connection, "publishMessage", body)
                assert answered.status_code == 202, answered.text
                life.answered.append(answered.json()["id"])

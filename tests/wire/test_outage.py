"""While the database is away (protocol.md section 6 rule 9, sections 7, 8 and 14).

PostgreSQL on uvicorn: a database of its own that accepts no connections for a while.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.support.calls import http_client
from tests.support.client import Client, eventually
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import PASSING, STORED, room
from tests.support.servers import Postgres, Server, start_server, token

CHANNEL = "outage"
MESSAGES = {"chat": STORED, "typing": {**PASSING, "echo": True}}
CHANNELS = room(CHANNEL, MESSAGES, historyStart=0) | room("later")


@dataclass
class Database:
    """A database that can be away."""

    postgres: Postgres
    url: str

    def away(self) -> None:
        name = self.url.rpartition("/")[2]
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname"
        self._run(
            f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            f"{terminate} = '{name}'",
        )

    def back(self) -> None:
        self._run(f"ALTER DATABASE {self.url.rpartition('/')[2]} ALLOW_CONNECTIONS true")

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Database:
    return Database(postgres, postgres.database())


@pytest.fixture(scope="module")
def outage_server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("outage")
    with start_server("uvicorn", directory, DATABASE_URL=database.url) as server:
        yield server


async def test_an_outage(outage_server: Server, database: Database) -> None:
    server = outage_server
    async with (
        subscribed(server, CHANNEL, uid="jim", channels=CHANNELS) as jim,
        subscribed(server, CHANNEL, uid="pam", channels=CHANNELS) as pam,
        connect(server, uid="new", channels=CHANNELS) as new,
    ):
        await jim.publish(CHANNEL, "before")
        before = await pam.receive("chat")
        await jim.receive("chat")
        database.away()
        try:
            await asyncio.gather(
                nothing_is_stored(jim, pam),
                calls_are_refused(server, pam),
                subscribing_ends_the_connection(new),
                handshakes_are_refused(server),
                not_ready(server),
            )
            await what_is_not_stored_goes_on(jim, pam)
        finally:
            database.back()
        await it_recovers(server, jim, pam, before)


async def nothing_is_stored(jim: Client, pam: Client) -> None:
    """The sender is told, and nobody sees it."""
    await jim.publish(CHANNEL, "during")
    await jim.error("SERVICE_UNAVAILABLE", "chat", CHANNEL)
    await jim.nothing()
    await pam.nothing()


async def what_is_not_stored_goes_on(jim: Client, pam: Client) -> None:
    await jim.publish(CHANNEL, "passing", "typing")
    for client in (jim, pam):
        assert (await client.receive("typing"))["data"] == "passing"
        await client.nothing()


async def calls_are_refused(server: Server, client: Client) -> None:
    body = {"channel": CHANNEL, "event": "chat", "messageId": "0" * 26}
    for operation in ("publishMessage", "listMessages", "listReactions"):
        refused = await client.call(operation, body)
        assert refused.refusal == (503, "SERVICE_UNAVAILABLE")


async def subscribing_ends_the_connection(client: Client) -> None:
    await client.send({"event": "hotsock.subscribe", "channel": "later"})
    await client.error("SERVICE_UNAVAILABLE", "hotsock.subscribe", "later")
    assert (await client.closed())[0] == 1013


async def handshakes_are_refused(server: Server) -> None:
    """Before their clients give up, which is after 5 s (protocol.md section 6, rule 2)."""
    with pytest.raises(Refused) as refused:
        async with asyncio.timeout(5):
            await open_client(server, token(server))
    assert refused.value.status == 503
    assert b'"SERVICE_UNAVAILABLE"' in refused.value.body
    assert b"(" not in refused.value.body  # what the driver says is for the log


async def not_ready(server: Server) -> None:
    async with http_client(server) as http:
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200


async def it_recovers(server: Server, jim: Client, pam: Client, before: dict[str, object]) -> None:
    """By itself, on the connections that stayed; what was refused was never stored."""

    async def stored() -> bool:
        body = {"channel": CHANNEL, "event": "chat", "data": "after"}
        return (await jim.call("publishMessage", body)).status == 202

    await eventually(stored)
    after = await pam.receive("chat")
    assert after["data"] == "after"
    assert await pam.history(CHANNEL) == [before, after]
    async with subscribed(server, CHANNEL, channels=CHANNELS) as back:
        assert await back.history(CHANNEL) == [before, after]

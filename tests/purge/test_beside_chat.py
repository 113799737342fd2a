"""A purge beside a live chat: neither notices the other."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from chat.models import Channel
from tests.purge import rows
from tests.purge.rows import DAY, ago
from tests.support import stored as database
from tests.support.client import Client
from tests.support.connecting import connect
from tests.support.databases import default_database
from tests.support.grants import CHAT
from tests.support.servers import Server, manage, start_server

EXPIRED = 1000
BEFORE = 25  # live messages that are there already
CHANNEL = "talk"
LIMIT_SECONDS = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> Iterator[Server]:
    """A server in whose one channel EXPIRED expired messages lie between BEFORE live ones; its
    database is Django's default meanwhile."""
    env = {"CLIENT_FRAMES_PER_SECOND": "0"}
    if request.param == "postgresql":
        env["DATABASE_URL"] = request.getfixturevalue("postgres").database()
    with (
        start_server("uvicorn", tmp_path, **env) as server,
        django_db_blocker.unblock(),
        default_database(server.env["DATABASE_URL"]),
    ):
        fill()
        yield server


def fill() -> None:
    channel = Channel.objects.create(name=CHANNEL, changed_at=ago(DAY))
    expiries = [*[ago(DAY)] * (EXPIRED // BEFORE), None] * BEFORE
    stored = rows.messages(channel, expiries, reactions=1)
    channel.number, channel.last_message_id = 10**6, stored[-1].id
    channel.save()


async def talk(jim: Client, pam: Client, until: asyncio.Task[Any]) -> list[str]:
    """Jim publishes and Pam reacts to every fifth message; each sees all of it at once, in order,
    and nothing else. Gives the ids of what was published."""
    published: list[str] = []
    while not until.done() or len(published) < 20:
        await jim.publish(CHANNEL, len(published))
        echo = await jim.receive("chat")
        assert echo["data"] == len(published)
        assert await pam.receive("chat") == echo
        published.append(echo["id"])
        if len(published) % 5 == 0:
            await pam.react(CHANNEL, echo["id"])
            reaction = await jim.receive("hotsock.messageReactionAdded")
            assert reaction["data"]["messageId"] == echo["id"]
    return published


async def test_neither_notices_the_other(server: Server) -> None:
    rights = {"subscribe": True, "historyStart": 0, "messages": CHAT}
    async with (
        connect(server, uid="jim", channels={CHANNEL: rights}) as jim,
        connect(server, uid="pam", channels={CHANNEL: rights}) as pam,
    ):
        for client in (jim, pam):
            await client.subscribe(CHANNEL)
        before = await jim.whole_history(CHANNEL)
        assert len(before) == BEFORE
        purging = asyncio.to_thread(manage, server.env, "purge_expired", "--json")
        ended = asyncio.create_task(purging)
        published = await asyncio.wait_for(talk(jim, pam, ended), LIMIT_SECONDS)
        purge = await ended
        report = json.loads(purge.stdout)
        after = await jim.whole_history(CHANNEL)

    assert purge.returncode == 0
    assert (report["removed"]["messages"], report["removed"]["reactions"]) == (EXPIRED, EXPIRED)
    assert after[:BEFORE] == before
    assert [message["id"] for message in after[BEFORE:]] == published
    reacted = [message["id"] for message in after[BEFORE:] if message.get("reactions")]
    assert reacted == published[4::5]
    counts = "SELECT (SELECT count(*) FROM chat_message), (SELECT count(*) FROM chat_reaction)"
    assert database.rows(server, counts) == [(BEFORE + len(published), BEFORE + len(reacted))]

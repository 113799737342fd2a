"""What a uid may hold at a time, in all processes together (docs/decisions/0011)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.acks import FAR
from tests.support.calls import Answer, http_client
from tests.support.client import Client, eventually
from tests.support.connecting import Refused, open_client, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Postgres, Server, keys_of, start_server, token

QUOTAS = {
    "QUOTA_CONNECTIONS": "4",
    "QUOTA_STORED_BYTES": "10000",
    "QUOTA_STORAGE_KEYS": "3",
    "QUOTA_SCHEDULES": "2",
    "QUOTA_ACKS": "2",
}
TEXT = "x" * 894  # with its quotes, `null` as metadata and its row it counts 1,000 bytes
Two = tuple[Server, Server]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Of one site; on SQLite they are the same."""
    env, directory = dict(QUOTAS), tmp_path_factory.mktemp("quotas")
    with ExitStack() as running:
        if request.param == "postgresql":
            postgres: Postgres = request.getfixturevalue("postgres")
            env["DATABASE_URL"] = postgres.database()
        one = other = running.enter_context(start_server("uvicorn", directory, **env))
        if request.param == "postgresql":
            again = start_server("uvicorn", directory, **env, **keys_of(one))
            other = running.enter_context(again)
        yield one, other


@asynccontextmanager
async def person(server: Server, channel: str) -> AsyncIterator[Client]:
    """Of a uid like the channel's name, who may do everything there."""
    messages = {"chat": {**STORED, "scheduleBefore": FAR}}
    granted = room(channel, messages, storage={"*": {"set": True}}, historyStart=0)
    async with subscribed(server, channel, channels=granted, uid=channel) as client:
        yield client


def is_full(answer: Answer, quota: str) -> bool:
    """Whether it is a refusal that names this quota; else it must have been accepted."""
    if answer.status == 202:
        return False
    assert answer.refusal == (429, "RATE_LIMITED")
    assert quota in answer.json["error"]["message"]
    assert int(answer.headers["retry-after"]) > 0
    return True


async def until_full(client: Client, quota: str, call: str, **body: Any) -> int:
    """How many calls are accepted."""
    for accepted in range(100):
        numbered = {name: value.format(accepted) for name, value in body.items()}
        if is_full(await client.call(call, numbered), quota):
            return accepted
    raise AssertionError("there is no quota")


async def test_stored_bytes(two: Two, channel: str) -> None:
    """What is under way while a process counts may count twice or not at all, until the next count.
    What is deleted counts no more."""
    one, other = two
    message = {"channel": channel, "event": "chat", "data": TEXT}
    async with person(one, channel) as jim, person(other, channel) as again:
        await jim.publish(channel, TEXT)
        first = await jim.receive("chat")
        accepted = await until_full(jim, "QUOTA_STORED_BYTES", "publishMessage", **message)
        assert 7 <= accepted <= 12
        await jim.drain()
        await jim.publish(channel, TEXT)
        await jim.error("RATE_LIMITED", "chat", channel)

        async def refused() -> bool:
            return is_full(await again.call("publishMessage", message), "QUOTA_STORED_BYTES")

        await eventually(refused)
        key = {"Authorization": f"Bearer {one.env['API_SECRET_KEY_1']}"}
        async with http_client(one) as http:
            by_server = await http.post("/publish", json=message, headers=key)
            assert by_server.status_code == 202
            stored = [first["id"], *(row["id"] for row in await jim.history(channel))]
            for id in stored:
                await http.delete(f"/channels/{channel}/messages/{id}", headers=key)

        async def taken() -> bool:
            return not await refused()

        await eventually(taken)


async def test_small_messages_count_with_their_rows_and_metadata(two: Two, channel: str) -> None:
    granted = room(channel, {"chat": STORED})
    message = {"channel": channel, "event": "chat", "data": ""}
    stated = {"channels": granted, "uid": channel, "umd": "m" * 896}  # 1,000 bytes each
    async with subscribed(two[0], channel, **stated) as jim:
        accepted = await until_full(jim, "QUOTA_STORED_BYTES", "publishMessage", **message)
        assert 8 <= accepted <= 13


async def test_storage_keys(two: Two, channel: str) -> None:
    """To the last one, in both processes. A key that is set again is no other one; one that is
    cleared counts no more, and may be cleared at any time."""
    entry = {"channel": channel, "key": "{}", "data": "kept"}
    async with person(two[0], channel) as jim, person(two[1], channel) as again:
        assert await until_full(jim, "QUOTA_STORAGE_KEYS", "channelStorageSet", **entry) == 3
        assert is_full(await again.call("channelStorageSet", entry), "QUOTA_STORAGE_KEYS")
        for data, key in (("other", "0"), (None, "1"), ("kept", "new")):
            changed = {"channel": channel, "key": key, "data": data}
            assert (await again.call("channelStorageSet", changed)).status == 202
        assert is_full(await jim.call("channelStorageSet", entry), "QUOTA_STORAGE_KEYS")


async def test_schedules_and_acks(two: Two, channel: str) -> None:
    at = f"at({datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%S})"
    message = {"channel": channel, "event": "chat", "data": "later"}
    async with person(two[0], channel) as jim, person(two[1], channel) as again:
        later = {**message, "scheduleExpression": at}
        assert await until_full(jim, "QUOTA_SCHEDULES", "publishMessage", **later) == 2
        assert is_full(await again.call("publishMessage", later), "QUOTA_SCHEDULES")
        acked = {**message, "ack": "a" * 16 + "{}"}
        accepted = await until_full(jim, "QUOTA_ACKS", "publishMessage", **acked)
        assert 2 <= accepted <= 3  # what is under way while the process counts may not count


async def test_connections(two: Two, channel: str) -> None:
    """Until one has ended; others are not concerned."""
    one, other = two

    reasons: list[Refused] = []

    async def opened(server: Server, uid: str = channel) -> list[Client]:
        try:
            return [await open_client(server, token(server, uid=uid))]
        except Refused as refused:
            reasons.append(refused)
            return []

    clients = [client for server in (one, other, one, other) for client in await opened(server)]
    assert len(clients) == 4
    assert await opened(one) + await opened(other) == []
    for refused in reasons:
        assert refused.status == 429
        assert b"QUOTA_CONNECTIONS" in refused.body
    clients += await opened(one, "somebody-else")
    assert len(clients) == 5
    await clients.pop(0).aclose()
    clients += await eventually(lambda: opened(other))
    for client in clients:
        await client.aclose()

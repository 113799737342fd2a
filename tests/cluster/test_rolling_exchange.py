"""A rolling exchange: servers of this tree and of an earlier commit serve one site meanwhile. They
do not take each other's messages, which have no checksum there: what is stored they read."""

import asyncio
import io
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import conversation
from tests.support.client import Client, eventually
from tests.support.connecting import connect
from tests.support.grants import room
from tests.support.servers import ROOT, Server, keys_of, start_server, token

COMMIT = "6a94d71"
PARTS = ("chat", "chatsite", "tokens", "static", "templates", "manage.py")
OBSERVE = {"*": {"set": True, "observe": True}}


@pytest.fixture(autouse=True)
def _as_it_was_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the earlier one announces has no position."""
    monkeypatch.setattr(conversation, "check_frame", lambda frame: None)


@pytest.fixture
def earlier_code(tmp_path: Path) -> Path:
    archive = subprocess.run(["git", "archive", COMMIT, *PARTS], cwd=ROOT, capture_output=True)
    if archive.returncode:
        pytest.skip(f"this clone has no commit {COMMIT} (a shallow clone?)")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path / COMMIT, filter="data")
    return tmp_path / COMMIT


@pytest.fixture
def servers(
    earlier_code: Path, tmp_path: Path, postgres_url: str, redis_url: str
) -> Iterator[tuple[Server, Server]]:
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "NODE_LEASE_SECONDS": "5"}
    with (
        start_server("uvicorn", tmp_path, code=earlier_code, **env) as earlier,
        start_server("uvicorn", tmp_path, **env, **keys_of(earlier)) as current,
    ):
        yield earlier, current


def member(server: Server, uid: str, channel: str) -> Any:
    return connect(server, uid=uid, channels=room(channel, storage=OBSERVE))


async def heard_by_both(event: str, one: Client, other: Client) -> dict[str, Any]:
    """The next frame of each, which is the same, but for the position."""
    frames = [dict(await client.receive(event)) for client in (one, other)]
    for frame in frames:
        frame.pop("position", None)
    assert frames[0] == frames[1]
    return frames[0]


async def exchange(here: Client, there: Client, channel: str) -> None:
    """What is stored on one server arrives on the other, in order."""
    await here.publish(channel, 1)
    first = await heard_by_both("chat", here, there)
    await here.publish(channel, 2)
    second = await heard_by_both("chat", here, there)
    assert first["id"] < second["id"]
    await here.react(channel, second["id"])
    reacted = await there.receive("hotsock.messageReactionAdded")
    assert reacted["data"]["messageId"] == second["id"]
    await here.send(
        {"event": "hotsock.channelStorageSet", "channel": channel, "key": "k", "data": here.id}
    )
    stored = await heard_by_both("hotsock.channelStorageUpdated", here, there)
    assert stored["data"] == here.id
    async with member(here.server, "tom", channel) as tom:
        await tom.subscribe(channel)
        await heard_by_both("hotsock.memberAdded", here, there)
    await heard_by_both("hotsock.memberRemoved", here, there)


async def update_metadata(here: Client, there: Client, channel: str) -> None:
    """Over HTTP, through the server that does not hold the connection. The two versions do not
    understand each other here: the holder finds the change in the database, soon."""
    umd = secrets.token_hex(4)
    claims = {"scope": "umd", "connectionId": here.id, "umd": umd}
    jwt = token(here.server, **claims, channels={channel: {"umdUpdate": True}})
    elsewhere = Client(there.server, here.socket)
    elsewhere.connected = here.connected
    answer = await elsewhere.call("umdUpdate", {"token": jwt, "channel": channel})
    assert answer.status == 200, answer.text
    updated = await heard_by_both("hotsock.memberUpdated", here, there)
    assert updated["data"]["member"]["umd"] == umd

    async def shown() -> bool:
        await here.publish(channel)
        return bool((await heard_by_both("chat", here, there))["meta"]["umd"] == umd)

    await eventually(shown)


async def test_each_version_hears_the_other(servers: tuple[Server, Server], channel: str) -> None:
    earlier, current = servers
    channel = f"presence.{channel}"
    async with member(earlier, "jim", channel) as jim, member(current, "pam", channel) as pam:
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        await jim.receive("hotsock.memberAdded")
        for here, there in ((jim, pam), (pam, jim)):
            await exchange(here, there, channel)
            await update_metadata(here, there, channel)
        await asyncio.to_thread(earlier.stop)
        assert (await pam.receive("hotsock.memberRemoved"))["data"]["member"]["uid"] == "jim"
        await asyncio.to_thread(earlier.restart)
        async with member(earlier, "ann", channel) as ann:
            await ann.subscribe(channel)
            await ann.receive("hotsock.channelStorageUpdated")
            await pam.receive("hotsock.memberAdded")
            await asyncio.to_thread(current.stop)
            removed = await ann.receive("hotsock.memberRemoved")
            assert removed["data"]["member"]["uid"] == "pam"

"""Killed between COMMIT and answer: a retry finds what was done (protocol.md section 19)."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.conftest import Fault
from tests.support.acks import acked, frame, operation_of, reaction, rights
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.servers import SHORT_LEASE, keys_of, start_server

DYING = {"DJANGO_SETTINGS_MODULE": "tests.faults.unanswered"}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_acks(
    request: pytest.FixtureRequest, fault: Fault, tmp_path: Path, channel: str, kind: str
) -> None:
    """A message over the socket, then a reaction over HTTP; each process has a successor."""
    env = dict(SHORT_LEASE)
    if kind == "postgresql":
        env["DATABASE_URL"] = request.getfixturevalue("postgres").database()
    sent: list[dict[str, Any]] = []
    for send in (over_socket, over_http):
        with start_server("uvicorn", tmp_path, **env | DYING) as server:
            env |= keys_of(server)
            async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
                sent.append(await send(jim, channel))
                assert (await jim.closed())[0] == 1006
            assert server.wait() == -signal.SIGKILL
            fault.count("kills")
    with start_server("uvicorn", tmp_path, **env) as server:
        async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
            for place, again in enumerate(sent):
                await jim.send(again)
                said = await acked(jim, again)
                assert (said["position"], said["repeated"]) == (place + 1, True)
            [message] = await jim.history(channel)
            assert message["reactions"] == {"👍": {"count": 1}}


async def over_socket(jim: Client, channel: str) -> dict[str, Any]:
    await jim.send(sent := frame(channel))
    return sent


async def over_http(jim: Client, channel: str) -> dict[str, Any]:
    [message] = await jim.history(channel)
    sent = reaction(channel, message["id"])
    with pytest.raises(httpx.HTTPError):
        await jim.call(operation_of(sent), sent)
    return sent

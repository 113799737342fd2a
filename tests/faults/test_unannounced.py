"""Killed between COMMIT and announcement: the others deliver what was stored, though nobody told
them and nobody writes to that channel again (P3)."""

import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Fault
from tests.support.acks import frame, rights
from tests.support.connecting import subscribed
from tests.support.servers import SHORT_LEASE, keys_of, start_server

# Less than a look at all channels would take to find it: up to 25 s (design.md section 4).
HEARD_SECONDS = 10
DYING = {"DJANGO_SETTINGS_MODULE": "tests.faults.unanswered"}


@pytest.mark.parametrize("broker", ["postgresql", "redis"])
async def test_unannounced(
    request: pytest.FixtureRequest, fault: Fault, tmp_path: Path, channel: str, broker: str
) -> None:
    env = {**SHORT_LEASE, "DATABASE_URL": request.getfixturevalue("postgres").database()}
    if broker == "redis":
        env["REDIS_URL"] = request.getfixturevalue("redis_url")
    with (
        start_server("uvicorn", tmp_path, **env) as other,
        start_server("uvicorn", tmp_path, **env | keys_of(other) | DYING) as dying,
    ):
        granted = rights(channel)
        async with (
            subscribed(other, channel, channels=granted, uid="pam") as pam,
            subscribed(dying, channel, channels=granted, uid="jim") as jim,
        ):
            await jim.send(frame(channel, data="the last word"))
            assert dying.wait() == -signal.SIGKILL
            heard = await pam.receive("chat", limit=HEARD_SECONDS)
            assert heard["data"] == "the last word"
    fault.count("kills")

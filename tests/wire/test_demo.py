"""What bounds the demo, whose sessions anybody may open (protocol.md section 18)."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.http.demo import SESSIONS
from chat.store.demo import SESSION_BYTES
from tests.support.backend import backend
from tests.support.calls import answer, http_client
from tests.support.servers import Server, start_server

PART = "x" * 32_000


async def test_an_address_has_a_few_new_sessions_a_minute(server: Server) -> None:
    """By its /64; a session that it has does not count again, and this machine has any number."""
    async with http_client(server) as http:

        async def ask(session: str, address: str | None) -> tuple[int, str | None]:
            headers = {"X-Forwarded-For": address} if address else None
            got = await http.post("/tokens", json={"sessionId": session}, headers=headers)
            answered = answer(got)
            return answered.status, answered.headers.get("retry-after")

        begun = 0
        while (asked := await ask(f"session-{begun}", f"2001:db8:1::{begun}")) == (200, None):
            assert (await ask("session-0", "2001:db8:1::a")) == (200, None)
            begun += 1
            assert begun < 3 * SESSIONS
        assert begun >= SESSIONS
        assert asked == (429, "60")
        assert await ask("session-0", "2001:db8:1::a") == (200, None)
        assert await ask("elsewhere", "2001:db8:2::1") == (200, None)
        for number in range(SESSIONS + 1):
            assert await ask(f"here-{number}", None) == (200, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def public(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    env = {}
    if request.param == "postgresql":
        env["DATABASE_URL"] = request.getfixturevalue("postgres").database()
    with start_server("public demo", tmp_path, **env) as server:
        yield server


async def test_a_session_of_a_public_one_stores_a_megabyte(public: Server) -> None:
    """Of messages and values; what is not stored is not counted."""
    channel = f"chat-{secrets.token_hex(8)}"
    async with backend(public) as api:
        stored, refused = 0, (0, "")
        while stored <= SESSION_BYTES:
            kept = await api.publish(channel, data=PART, store=3600)
            if kept.status != 202:
                refused = kept.refusal
                break
            stored += len(PART)
        assert refused == (429, "RATE_LIMITED")
        assert SESSION_BYTES - 2 * len(PART) < stored
        assert (await api.publish(channel, data=PART)).status == 202
        assert (await api.publish(f"{channel}x", data=PART, store=3600)).status == 202
        assert (await api.publish(f"x{channel}", data=PART, store=3600)).status == 202
        setting = {"event": "hotsock.channelStorageSet", "key": "k", "data": PART}
        assert (await api.publish(channel, **setting)).refusal == (429, "RATE_LIMITED")

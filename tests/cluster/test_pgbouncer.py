"""Two servers behind PgBouncer (docs/deploy.md): what it takes from the broker, and how they say
so."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.calls import http_client
from tests.support.client import Client, eventually
from tests.support.connecting import subscribed
from tests.support.servers import (
    Postgres,
    Program,
    Server,
    find_program,
    free_port,
    keys_of,
    manage,
    migrate,
    no_root,
    start_server,
)

POOL_SIZE = 20
# What a server could have left in a session of the pooler's, which others use next.
LEFT = """
    SELECT pg_listening_channels() UNION ALL
    SELECT name || setting FROM pg_settings WHERE setting <> '0' AND name IN
    ('lock_timeout', 'idle_in_transaction_session_timeout', 'tcp_user_timeout')
"""


@contextmanager
def pgbouncer(postgres: Postgres, directory: Path) -> Iterator[Program]:
    """In transaction mode. It refuses to run as root, as PostgreSQL does."""
    port, user = free_port(), no_root()
    with tempfile.TemporaryDirectory() as own:
        Path(own).chmod(0o755)
        path = Path(own) / "pgbouncer.ini"
        path.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\n"
        )
        command = [find_program("pgbouncer"), str(path)]
        program = Program(command, port, directory / "pgbouncer.log", user=user)
        with program:
            program.start(lambda: _answers(program))
            yield program


def _answers(program: Program) -> bool:
    try:
        psycopg.connect(f"postgres://postgres@127.0.0.1:{program.port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module", params=["alone", "with BROKER_URL"])
def pooled(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """BROKER_URL may name any database: nothing but notifications goes there."""
    _, _, direct = request.param.partition("with ")
    directory = tmp_path_factory.mktemp("pooled")
    url = postgres.database()
    migrate(url, directory)
    with pgbouncer(postgres, directory) as pool:
        env = {"DATABASE_URL": url.replace(f":{postgres.port}/", f":{pool.port}/")}
        if direct:
            env[direct] = postgres.database()
        with (
            start_server("uvicorn", directory, **env) as one,
            start_server("uvicorn", directory, **env, **keys_of(one)) as other,
        ):
            yield one, other


async def test_behind_a_pooler_what_is_stored_arrives_and_the_broker_says_what_does_not(
    pooled: tuple[Server, Server], channel: str, request: pytest.FixtureRequest
) -> None:
    one, other = pooled
    polls = request.node.callspec.id == "alone"
    async with http_client(one) as http:
        await eventually(lambda: _says(http, "degraded" if polls else "ok"))
    async with (
        subscribed(one, channel, uid="jim") as jim,
        subscribed(other, channel, uid="pam") as pam,
    ):
        if not polls:
            await jim.publish(channel, event="typing")
            await pam.receive("typing")
            await asyncio.to_thread(manage, one.env, "publish", channel, "typing", "--store=0")
            await asyncio.gather(jim.receive("typing"), pam.receive("typing"))
        for number in range(20):
            await jim.publish(channel, number)
        assert [(await pam.receive("chat"))["data"] for _ in range(20)] == list(range(20))
    assert one.log.read_text().count("LISTEN brings nothing") == polls
    examined = await asyncio.to_thread(manage, one.env, "doctor", "--json")
    assert ('"broker.' in examined.stdout) == ('"broker.deaf"' in examined.stdout) == polls
    with ExitStack() as stack:  # sessions that the servers have used
        for _ in range(POOL_SIZE // 2):
            session = stack.enter_context(psycopg.connect(one.env["DATABASE_URL"]))
            assert session.execute(LEFT).fetchall() == []


async def test_behind_a_pooler_too_what_is_sent_after_a_call_to_another_process_stays_behind_it(
    pooled: tuple[Server, Server], channel: str
) -> None:
    one, other = pooled
    async with subscribed(one, channel, uid="jim") as jim, subscribed(one, channel) as pam:
        elsewhere = Client(other, jim.socket)
        elsewhere.connected = jim.connected
        for _ in range(5):
            await elsewhere.store(channel)
            await jim.publish(channel, event="typing")
            assert [(await pam.receive())["event"] for _ in range(2)] == ["chat", "typing"]


async def _says(http: httpx.AsyncClient, status: str) -> bool:
    ready = (await http.get("/readyz")).json()
    return bool(ready["status"] == status)

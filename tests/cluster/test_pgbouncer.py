"""Two servers behind PgBouncer (docs/deploy.md): what it takes from the broker, and how they say
so."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.calls import http_client
from tests.support.client import eventually
from tests.support.connecting import subscribed
from tests.support.servers import (
    Postgres,
    Program,
    Server,
    find_program,
    free_port,
    keys_of,
    migrate,
    no_root,
    start_server,
)

SETTINGS = (
    "SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')"
)


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
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 20\n"
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


@pytest.fixture(params=["alone", "with BROKER_URL"])
def pooled(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path
) -> Iterator[tuple[Server, Server]]:
    _, _, direct = request.param.partition("with ")
    url = postgres.database()
    migrate(url, tmp_path)
    with pgbouncer(postgres, tmp_path) as pool:
        env = {"DATABASE_URL": url.replace(f":{postgres.port}/", f":{pool.port}/")}
        if direct:
            env[direct] = url
        with (
            start_server("uvicorn", tmp_path, **env) as one,
            start_server("uvicorn", tmp_path, **env, **keys_of(one)) as other,
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
        for number in range(20):
            await jim.publish(channel, number)
        assert [(await pam.receive("chat"))["data"] for _ in range(20)] == list(range(20))
    assert one.log.read_text().count("LISTEN brings nothing") == polls
    with psycopg.connect(one.env["DATABASE_URL"]) as session:  # one that a server has used
        assert session.execute(SETTINGS).fetchone() == ("0", "0")


async def _says(http: httpx.AsyncClient, status: str) -> bool:
    ready = (await http.get("/readyz")).json()
    return bool(ready["status"] == status)

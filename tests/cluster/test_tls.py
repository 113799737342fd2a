"""Redis and PostgreSQL over TLS, as docs/deploy.md has it: a server talks to one whose certificate
the authority has signed that it was told of, and to no other."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.support.calls import http_client
from tests.support.certificates import make_authority
from tests.support.client import eventually
from tests.support.connecting import subscribed
from tests.support.servers import (
    Server,
    StartError,
    directory_of,
    free_port,
    no_root,
    start_postgres,
    start_redis,
    start_server,
)

UNTRUSTED = "certificate verify failed"


async def readiness(server: Server, status: str) -> Any:
    async def is_so() -> bool:
        async with http_client(server) as http:
            return bool((await http.get("/readyz")).json()["status"] == status)

    await eventually(is_so)


def said(server: Server) -> str:
    return server.log.read_text()


async def test_redis_over_tls_with_a_password(tmp_path: Path) -> None:
    right, port = make_authority(tmp_path, "right"), free_port()
    options = ["--tls-port", str(port), "--requirepass", "secret", "--tls-auth-clients", "no"]
    for name, file in (("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "right.pem")):
        options += [f"--tls-{name}-file", str(tmp_path / file)]
    with start_redis(tmp_path, None, *options):
        address = f"rediss://:secret@127.0.0.1:{port}/0?ssl_ca_certs="
        with start_server("uvicorn", tmp_path, REDIS_URL=address + str(right)) as server:
            await readiness(server, "ok")
            assert UNTRUSTED not in said(server)
            (tmp_path / "other").mkdir()
            wrong = make_authority(tmp_path / "other", "wrong")
            server.env["REDIS_URL"] = address + str(wrong)
            server.restart()
            await readiness(server, "degraded")
        [line] = [line for line in said(server).splitlines() if "REDIS_URL does not work" in line]
        assert UNTRUSTED in line
        assert "secret" not in said(server)


async def test_postgresql_over_tls(tmp_path: Path, channel: str) -> None:
    files = directory_of(no_root())  # its key must be its own
    right = make_authority(files, "right")
    if user := no_root():
        shutil.chown(files / "server.key", user)
    ssl = {"ssl_cert_file": files / "server.pem", "ssl_key_file": files / "server.key"}
    with start_postgres(tmp_path, ssl="on", **ssl) as postgres:
        address = postgres.database()
        with start_server("uvicorn", tmp_path, DATABASE_URL=address) as server:
            verified = f"{address}?sslmode=verify-full&sslrootcert="
            server.env["DATABASE_URL"] = verified + quote(str(right))
            server.restart()
            async with subscribed(server, channel) as client:
                await client.store(channel)
            await readiness(server, "ok")
            with psycopg.connect(f"{address}?sslmode=disable") as session:
                sessions = session.execute(
                    "SELECT application_name, ssl FROM pg_stat_ssl JOIN pg_stat_activity"
                    " USING (pid) WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
            assert any(name.startswith("chat listener") for name, _ in sessions)
            assert {is_encrypted for _, is_encrypted in sessions} == {True}
            (tmp_path / "other").mkdir()
            wrong = make_authority(tmp_path / "other", "wrong")
            server.env["DATABASE_URL"] = verified + quote(str(wrong))
            with pytest.raises(StartError, match=f"The database .*{UNTRUSTED}"):
                server.restart()

"""Servers under attack. Whatever a test does to one, it stays up and logs no traceback."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.servers import Postgres, Server, start_server


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture(scope="package")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`manage.py serve` without the limit on how fast a client may send."""
    directory = tmp_path_factory.mktemp("unlimited")
    with start_server("uvicorn", directory, CLIENT_FRAMES_PER_SECOND="0") as server:
        yield server


@pytest.fixture(scope="package")
def unlimited_daphne(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("unlimited-daphne")
    with start_server("daphne", directory, CLIENT_FRAMES_PER_SECOND="0") as server:
        yield server


@pytest.fixture(scope="package")
def unlimited_postgres(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("unlimited-postgres")
    settings = {"DATABASE_URL": postgres.database(), "CLIENT_FRAMES_PER_SECOND": "0"}
    with start_server("uvicorn", directory, **settings) as server:
        yield server


SERVERS = {
    "uvicorn": "unlimited",
    "daphne": "unlimited_daphne",
    "postgres": "unlimited_postgres",
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def attacked(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each test that takes it runs on uvicorn, on daphne and with PostgreSQL."""
    with unharmed(request.getfixturevalue(request.param)) as server:
        yield server


@pytest.fixture(params=["unlimited", "unlimited_postgres"], ids=["uvicorn", "postgres"])
def attacked_serve(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Those that `manage.py serve` runs, for what is promised of them alone."""
    with unharmed(request.getfixturevalue(request.param)) as server:
        yield server


@pytest.fixture
def attacked_uvicorn(unlimited: Server) -> Iterator[Server]:
    with unharmed(unlimited) as server:
        yield server


@pytest.fixture
def attacked_postgres(unlimited_postgres: Server) -> Iterator[Server]:
    with unharmed(unlimited_postgres) as server:
        yield server


@contextmanager
def unharmed(server: Server) -> Iterator[Server]:
    """Afterwards the server still answers, and what it logged meanwhile holds no traceback."""
    with ExitStack() as stack:
        log = stack.enter_context(server.log.open())
        log.seek(0, 2)
        yield server
        assert server.running
        assert server.healthy()
        written = log.read()
        assert "Traceback" not in written, written
        assert '" 500' not in written, written


def memory(server: Server) -> int:
    """The bytes of memory that the server's process holds."""
    with open(f"/proc/{server.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096

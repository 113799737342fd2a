"""The servers that the wire tests share, and a channel for each test."""

import secrets
from collections.abc import Iterator

import pytest

from tests.servers import Postgres, Server, start_server


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture(scope="session")
def postgres_server(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """`manage.py serve` on PostgreSQL."""
    directory = tmp_path_factory.mktemp("uvicorn-postgres")
    with start_server("uvicorn", directory, DATABASE_URL=postgres.database()) as server:
        yield server


@pytest.fixture(
    params=["server", "daphne_server", "postgres_server"],
    ids=["uvicorn", "daphne", "postgres"],
)
def every_server(request: pytest.FixtureRequest) -> Server:
    """Each test that takes it runs on uvicorn and daphne with SQLite, and with PostgreSQL."""
    running: Server = request.getfixturevalue(request.param)
    return running

"""The servers that the wire tests share, and a channel for each test."""

from collections.abc import Iterator

import pytest

from tests.support.servers import Postgres, Server, keys_of, start_server


@pytest.fixture(scope="session")
def postgres_server(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """`manage.py serve` on PostgreSQL."""
    directory = tmp_path_factory.mktemp("uvicorn-postgres")
    with start_server("uvicorn", directory, DATABASE_URL=postgres.database()) as server:
        yield server


@pytest.fixture(scope="session", params=["redis", "postgresql"])
def processes(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """Two of one site: on one PostgreSQL, linked through it or Redis."""
    directory = tmp_path_factory.mktemp("processes")
    env = {"DATABASE_URL": postgres.database()}
    if request.param == "redis":
        env["REDIS_URL"] = request.getfixturevalue("redis_url")
    with (
        start_server("uvicorn", directory, **env) as one,
        start_server("uvicorn", directory, **env, **keys_of(one)) as other,
    ):
        yield one, other


@pytest.fixture(
    params=["server", "daphne_server", "postgres_server"],
    ids=["uvicorn", "daphne", "postgres"],
)
def every_server(request: pytest.FixtureRequest) -> Server:
    """Each test that takes it runs on uvicorn and daphne with SQLite, and with PostgreSQL."""
    running: Server = request.getfixturevalue(request.param)
    return running

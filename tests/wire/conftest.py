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


@pytest.fixture(scope="session")
def daphne_postgres_server(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("daphne-postgres")
    with start_server("daphne", directory, DATABASE_URL=postgres.database()) as server:
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
    params=["server", "daphne_postgres_server"],
    ids=["uvicorn-sqlite", "daphne-postgres"],
)
def every_server(request: pytest.FixtureRequest) -> Server:
    """Each test that takes it runs on each server and on each database, in two runs. uvicorn with
    PostgreSQL is behind nginx (tests/nginx) and in tests/wire/test_processes.py."""
    running: Server = request.getfixturevalue(request.param)
    return running

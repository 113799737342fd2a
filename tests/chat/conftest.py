"""The databases that the chat writes to in these tests: real ones of both kinds, migrated once."""

import secrets
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.chat.databases import default_database, migrated
from tests.servers import Postgres


@pytest.fixture
def channel() -> str:
    """The name of a channel that no other test uses."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture(scope="session")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("sqlite")
    return migrated(f"sqlite:///{directory / 'db.sqlite3'}", directory)


@pytest.fixture(scope="session")
def postgres_database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    return migrated(postgres.database(), tmp_path_factory.mktemp("postgres"))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Makes a database Django's default, in every thread, and gives its kind. Rows of other tests
    may be in it."""
    url = request.getfixturevalue(f"{request.param}_database")
    with django_db_blocker.unblock(), default_database(url):
        yield request.param


@pytest.fixture
def sqlite(sqlite_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), default_database(sqlite_database):
        yield


@pytest.fixture
def postgres_default(postgres_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), default_database(postgres_database):
        yield

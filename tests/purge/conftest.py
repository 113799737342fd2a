"""Databases of both kinds for a purge, empty at the beginning of each test."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.purge import rows
from tests.support.databases import default_database, migrated
from tests.support.servers import Postgres


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("purge")
    return migrated(f"sqlite:///{directory / 'db.sqlite3'}", directory)


@pytest.fixture(scope="session")
def postgresql_url(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    return migrated(postgres.database(), tmp_path_factory.mktemp("purge"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The address of a database that is Django's default meanwhile."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    with django_db_blocker.unblock(), default_database(url):
        rows.clear()
        yield url
        connection.close()


@pytest.fixture
def sqlite(sqlite_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), default_database(sqlite_url):
        rows.clear()
        yield sqlite_url


@pytest.fixture
def postgresql(postgresql_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), default_database(postgresql_url):
        rows.clear()
        yield postgresql_url

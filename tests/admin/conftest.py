"""The admin on real databases of both kinds, asked as its readers ask: through addresses."""

from collections.abc import Iterator

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from pytest_django import DjangoDbBlocker

from chat.models import (
    AuditEntry,
    Channel,
    Connection,
    Deletion,
    Member,
    Message,
    Node,
    OutboxEntry,
    Reaction,
    Restriction,
    Schedule,
    StorageEntry,
    Subscription,
)
from tests.support.databases import default_database, migrated
from tests.support.servers import Postgres

TABLES = (
    *(Reaction, Message, Deletion, StorageEntry, Member, Schedule, OutboxEntry),
    *(Subscription, Connection, Node, Channel),
    *(AuditEntry, Restriction, LogEntry, Session, User),
)


@pytest.fixture(scope="session")
def admin_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("admin-sqlite")
    return migrated(f"sqlite:///{directory / 'db.sqlite3'}", directory)


@pytest.fixture(scope="session")
def admin_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    return migrated(postgres.database(), tmp_path_factory.mktemp("admin-postgres"))


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database as Django's default, for all of a module, and its kind: SQLite, and PostgreSQL
    too where the module asks for `on_both`."""
    kind = getattr(request, "param", "sqlite")
    url = request.getfixturevalue(f"admin_{kind}")
    with django_db_blocker.unblock(), default_database(url):
        ContentType.objects.clear_cache()
        yield kind
    ContentType.objects.clear_cache()


on_both = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True, scope="module")


@pytest.fixture
def rows(database: str) -> str:
    """The database, empty; what a test puts there goes with it."""
    clear()
    return database


def clear() -> None:
    with transaction.atomic():
        for model in TABLES:
            model.objects.all().delete()


def staff(name: str, *codenames: str) -> Client:
    """Whoever may do this and no more, logged in."""
    user = User.objects.create_user(name, is_staff=True)
    found = Permission.objects.filter(content_type__app_label="chat", codename__in=codenames)
    assert len(found) == len(codenames)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


VIEWED = (
    *("auditentry", "channel", "connection", "member", "message", "node", "reaction", "schedule"),
    *("restriction", "storageentry", "subscription"),
)
VIEWS = tuple(f"view_{name}" for name in VIEWED)
DELETED = ("message", "connection", "restriction", "schedule", "storageentry")


@pytest.fixture
def viewer(rows: str) -> Client:
    return staff("viewer", *VIEWS)


@pytest.fixture
def moderator(rows: str) -> Client:
    may = *(f"delete_{name}" for name in DELETED), "add_restriction"
    return staff("moderator", *VIEWS, *may)


@pytest.fixture
def root(rows: str) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client

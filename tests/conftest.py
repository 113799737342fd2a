"""What all tests share: servers that start once and are stopped when the tests end."""

import gc
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest
from pytest_django import DjangoDbBlocker, Settings

from tests.support import servers, shared
from tests.support.configuring import Setter, setter
from tests.support.databases import default_database, migrated
from tests.support.disclosure import disclosed
from tests.support.servers import Postgres, Server, start_postgres, start_redis, start_server

if TYPE_CHECKING:
    from chat.runtime.node import Node

# httpcore looks for this library at each of its steps where it is missing: a search of the whole
# path, a sixth of what a call costs.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

# How long an example takes says more about what else the machine does than about the code.
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.load_profile("busy")


def pytest_configure() -> None:
    shared.directory()


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_written() -> Iterator[None]:
    """Not in all the time that this process's tests run."""
    yield
    assert disclosed() == []


@pytest.fixture
def set_chat(settings: Settings) -> Setter:
    return setter(settings, "CHAT")


@pytest.fixture
def set_tokens(settings: Settings) -> Setter:
    return setter(settings, "TOKENS")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`manage.py serve`, for tests that leave no trace others could trip over."""
    with start_server("uvicorn", tmp_path_factory.mktemp("uvicorn")) as server:
        yield server


@pytest.fixture(scope="session")
def daphne_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server("daphne", tmp_path_factory.mktemp("daphne")) as server:
        yield server


@pytest.fixture(params=["server", "daphne_server"], ids=["uvicorn", "daphne"])
def any_server(request: pytest.FixtureRequest) -> Server:
    """Each test that takes it runs on uvicorn and on daphne."""
    running: Server = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield servers.redis_url(redis)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def postgres_url(postgres: Postgres) -> str:
    """A database of this module's own, still empty."""
    return postgres.database()


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


@pytest.fixture
async def here(database: str) -> AsyncIterator["Node"]:
    """This process's node, started."""
    from chat.runtime.node import Node  # needs Django's settings

    node = Node()
    await node.start()
    yield node
    await node.stop()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests stay until the end: Python's collector need not go through them."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that mostly wait come first: at the end they would be waited for by nobody else."""
    items.sort(key=lambda item: not {"faults", "test_timers.py"} & {*item.path.parts})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long each part took, in seconds of its tests: several run at the same time."""
    parts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                parts[report.nodeid.split("/")[1].partition("::")[0]] += report.duration
    for part, seconds in parts.most_common():
        terminalreporter.write_line(f"{part:<24}{seconds:8.1f} s")

"""For the tests of a project: its real server, at a free port, beside the test and on its database
(docs/django-tests.md).

from chat.testserver import LiveServerMixin

class OrderTests(LiveServerMixin, TransactionTestCase):
    def test_a_page_is_told(self):
        ...  # self.live_server_url, self.live_websocket_url
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final
from unittest import TestCase

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import ImproperlyConfigured
from django.test import TestCase as InTransaction
from django.test import modify_settings
from django.urls import reverse
from django.utils.module_loading import import_string

from chat import checks
from chat.conf import settings
from chat.server import run as server
from chat.store.databases import connection

HOST: Final = "127.0.0.1"
LIMIT_SECONDS: Final = 20.0
IN_MEMORY: Final = (
    "The test database is in memory, where a server cannot use it beside the test: give it a file,"
    ' such as DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}.'
)
UNCOMMITTED: Final = (
    "The server does not see what a TestCase writes, which is never committed: use"
    " TransactionTestCase."
)
ANOTHER: Final = "The server uses the database {0}, too: add it to the test's `databases`."


@dataclass(frozen=True, slots=True)
class Serving:
    """`url` without a slash at its end; `websocket_url` where clients connect."""

    url: str
    websocket_url: str


@contextmanager
def serving() -> Iterator[Serving]:
    """Meanwhile the project is served as `manage.py serve` does it, static files included. What the
    test writes must be committed. Raises ImproperlyConfigured where it cannot be served."""
    if problems := _problems():
        raise ImproperlyConfigured("\n".join(problems))
    listening = server.listen(HOST, 0)
    at = f"{HOST}:{listening.getsockname()[1]}"
    with listening, modify_settings(ALLOWED_HOSTS={"append": HOST}), _running(listening):
        yield Serving(f"http://{at}", f"ws://{at}{reverse('chat:websocket')}")


class LiveServerMixin(TestCase):
    """A server for each test; stands before Django's TransactionTestCase, or LiveServerTestCase,
    whose own server then serves nobody. It is stopped before the test's rows are removed."""

    live_server_url: str
    live_websocket_url: str

    def setUp(self) -> None:
        super().setUp()
        if isinstance(self, InTransaction):
            raise ImproperlyConfigured(UNCOMMITTED)
        if settings.DATABASE not in getattr(self, "databases", [settings.DATABASE]):
            raise ImproperlyConfigured(ANOTHER.format(settings.DATABASE))
        at = self.enterContext(serving())
        self.live_server_url, self.live_websocket_url = at.url, at.websocket_url


def _problems() -> list[str]:
    found = checks.environment_problems() + checks.url_problems()
    found = found or checks.application_problems()
    is_in_memory: Callable[[], bool] = getattr(connection, "is_in_memory_db", lambda: False)
    return found or [IN_MEMORY] * is_in_memory()


class _Server(server.Server):
    """In a thread, which gets no signals; it must not end the process."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True


@contextmanager
def _running(listening: Any) -> Iterator[None]:
    started = threading.Event()
    application = import_string(str(django_settings.ASGI_APPLICATION))
    if apps.is_installed("django.contrib.staticfiles"):
        application = ASGIStaticFilesHandler(application)
    config = server.configured(application, settings.FORWARDED_ALLOW_IPS)
    running = _Server(config, started.set)
    thread = threading.Thread(target=running.run, args=([listening],), name="server", daemon=True)
    thread.start()
    try:
        if not started.wait(LIMIT_SECONDS):
            raise RuntimeError("The server did not start; its log says why.")
        yield
    finally:
        running.should_exit = True
        thread.join(LIMIT_SECONDS)
    if thread.is_alive():
        raise RuntimeError(f"The server did not stop within {LIMIT_SECONDS:g} s.")

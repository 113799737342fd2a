"""`chat.testserver`: a real server for the tests of a project (docs/django-tests.md)."""

import json
import threading
import unittest
from typing import Any

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.test import LiveServerTestCase, TestCase, TransactionTestCase
from pytest_django import Settings
from websockets.sync.client import connect

from chat import api
from chat.testserver import LiveServerMixin, Serving, serving
from tests.support.configuring import Setter
from tokens.api import issue


def told(at: Serving, channel: str, publish: Any) -> Any:
    """What a client gets that subscribes, and then is told by `publish`."""
    channels = {channel: {"subscribe": True, "autoSubscribe": True}}
    token = issue({"scope": "connect", "channels": channels})
    with connect(f"{at.websocket_url}?token={token}", proxy=None) as client:
        frame = {"event": ""}
        while frame["event"] != "told":
            frame = json.loads(client.recv(timeout=30))
            if frame["event"] == "hotsock.subscribed":
                publish(channel, "told", "by the test")
        return frame["data"]


def servers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "server"]


def test_clients_see_what_the_test_does(database: str, channel: str, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["www.example.org"]
    for _ in range(2):  # as each test has its own
        with serving() as at:
            assert told(at, channel, api.publish) == "by the test"
            assert httpx.get(f"{at.url}/admin/login/").status_code == 200
        assert servers() == []
        with pytest.raises(httpx.ConnectError):
            httpx.get(at.url)
    if database == "postgres":
        connection.close()
        connection.close_pool()
        name = connection.settings_dict["NAME"]
        with connection._nodb_cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name])
            assert cursor.fetchone() == (0,)


def outcome(case: type[unittest.TestCase], method: str) -> str:
    """What goes wrong, in its own words."""
    result = unittest.TestResult()
    unittest.TestSuite([case(method)]).run(result)
    [(_, problem)] = result.errors + result.failures
    return problem


class Failing(LiveServerMixin, LiveServerTestCase):
    __test__ = False  # for pytest

    def test_it(self) -> None:
        ready = f"{self.live_server_url}/readyz"
        assert httpx.get(ready).json() == "what it says"


def test_a_test_that_fails_stops_its_server(database: str) -> None:
    for _ in range(2):  # before and after its rows are removed
        assert "== 'what it says'" in outcome(Failing, "test_it")
        assert servers() == []


class Uncommitted(LiveServerMixin, TestCase):
    __test__ = False
    databases: Any = ()

    def test_it(self) -> None: ...


class Elsewhere(LiveServerMixin, TransactionTestCase):
    __test__ = False
    databases: Any = ()

    def test_it(self) -> None: ...


@pytest.mark.parametrize(
    ("case", "sentence"),
    [(Uncommitted, "use TransactionTestCase"), (Elsewhere, "add it to the test's `databases`")],
)
def test_what_the_server_could_not_see_is_refused(
    case: type[unittest.TestCase], sentence: str, sqlite: None
) -> None:
    assert sentence in outcome(case, "test_it")


def test_a_database_in_memory_is_refused(
    sqlite: None, monkeypatch: pytest.MonkeyPatch, set_chat: Setter
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", ":memory:")
    with pytest.raises(ImproperlyConfigured, match=r"test\.sqlite3"), serving():
        pass
    set_chat(NODE_LEASE_SECONDS=0)
    with pytest.raises(ImproperlyConfigured, match="NODE_LEASE_SECONDS"), serving():
        pass

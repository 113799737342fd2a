"""What a project must set, and the sentence that it is told where something does not fit."""

import json
import sys
from types import SimpleNamespace

import pytest
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.db import connections
from django.test import RequestFactory
from pytest_django import DjangoDbBlocker, Settings

from chat import checks
from chat.http import server_api
from tests.support.configuring import Setter
from tokens.checks import key_problems
from tokens.conf import settings as tokens


def told() -> str:
    return "\n".join(str(message.msg) for message in run_checks())


@pytest.fixture(autouse=True)
def unblocked(django_db_blocker: DjangoDbBlocker) -> None:
    """Checks look at the database's settings."""
    django_db_blocker.unblock()


def test_with_debug_nothing_must_be_set(settings: Settings) -> None:
    settings.DEBUG, settings.TOKENS = True, {}
    assert key_problems() == []
    made = tokens.SIGNING_KEY_1_ENCODED, tokens.API_SECRET_KEY_1
    settings.TOKENS, settings.SECRET_KEY = {}, settings.SECRET_KEY + "x"
    again = tokens.SIGNING_KEY_1_ENCODED, tokens.API_SECRET_KEY_1
    assert all(one != other for one, other in zip(made, again, strict=True))
    settings.TOKENS = {"SIGNING_KEY_1_METHOD": "RS256", "DEMO": False}  # and nothing is mixed in
    assert (tokens.SIGNING_KEY_1_ENCODED, tokens.DEMO) == ("", False)


def test_without_debug_no_key_is_made(settings: Settings) -> None:
    settings.DEBUG, settings.TOKENS = False, {}
    assert (tokens.SIGNING_KEY_1_ENCODED, tokens.API_SECRET_KEY_1, tokens.DEMO) == ("", "", False)
    assert len(key_problems()) == 2


def test_wsgi_only(settings: Settings) -> None:
    settings.ASGI_APPLICATION = None
    assert "ASGI_APPLICATION must name the project's ASGI application" in told()


async def test_an_api_that_wsgi_serves() -> None:
    answer = await server_api.publish(RequestFactory().post("/publish"))
    assert answer.status_code == 503
    assert "manage.py serve" in json.loads(answer.content)["error"]["message"]


def test_an_application_of_djangos_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    mysite = SimpleNamespace(application=get_asgi_application())
    monkeypatch.setitem(sys.modules, "mysite", mysite)
    settings.ASGI_APPLICATION = "mysite.application"
    [sentence] = checks.application_problems()
    assert "import get_asgi_application from chat.asgi" in sentence
    settings.ASGI_APPLICATION = "mysite.other"
    assert "cannot be imported" in checks.application_problems()[0]


def test_a_database_that_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    monkeypatch.setattr(connections["default"], "display_name", "MySQL")
    assert "The database default is MySQL, and the chat needs SQLite or PostgreSQL" in told()


def test_a_database_that_is_not_there(set_chat: Setter) -> None:
    set_chat(DATABASE="events")
    assert 'CHAT["DATABASE"] must be one of DATABASES: default.' in told()


def test_requests_that_are_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ATOMIC_REQUESTS" not in told()
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    assert "ATOMIC_REQUESTS is set for the chat's database" in told()


def test_a_chat_without_an_address(settings: Settings) -> None:
    settings.ROOT_URLCONF = "chat.demo_urls"
    assert 'add path("live/", include("chat.urls")) to chat.demo_urls' in told()


def test_a_database_without_the_servers_options(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.database_options() == []
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {})
    assert checks.database_options() == [checks.PLAIN_DATABASE]


def test_static_files_that_nothing_collects(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that serves them otherwise need not have run `collectstatic`."""
    settings.DEBUG, settings.STATIC_ROOT = False, None
    monkeypatch.setattr(checks, "staticfiles_storage", StaticFilesStorage())
    assert not any("collectstatic" in problem for problem in checks.deployment_problems())

"""`{% chat_scripts %}` and `{% chat_room %}` (docs/django-templates.md)."""

import json
import re
import time
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template import Context, RequestContext, Template, TemplateSyntaxError
from django.test import Client, RequestFactory
from pytest_django import Settings

from tests.support.configuring import Setter
from tokens.signing import verify

HERE = "tests.test_templates"
MESSAGES = {
    "chat": {"publish": True, "echo": True, "store": -1, "react": ["👍"]},
    "is-typing": {"publish": True},
}


def rules(request: HttpRequest) -> dict[str, Any]:
    return {
        "order-42": {"subscribe": True, "messages": MESSAGES},
        "order-*": {"historyStart": 0},
        "news": {"subscribe": True},
        "secrets": {"messages": MESSAGES},
    }


@pytest.fixture(autouse=True)
def _ours(set_chat: Setter, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    set_chat(RULES=f"{HERE}.rules")


def request_of(user: object) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = user  # type: ignore[assignment]
    return request


JIM = User(pk=1234567, username="jim")


def rendered(text: str, request: HttpRequest | None = None, **values: object) -> str:
    asked = request or request_of(JIM)
    return Template("{% load chat %}" + text).render(RequestContext(asked, values))


def attributes(html: str) -> dict[str, str]:
    element = re.search(r"<chat-room ([^>]*)>", html)
    assert element is not None
    found = re.findall(r'(\w+)="([^"]*)"', element[1])
    return {name: unescape(value) for name, value in found}


# --- chat_scripts -------------------------------------------------------------------------------


def test_the_modules_have_names_and_the_element_is_loaded() -> None:
    html = rendered("{% chat_scripts %}")
    imports = json.loads(re.findall(r'<script type="importmap">(.*?)</script>', html)[0])["imports"]
    assert set(imports) == {"chatsite-client", "chatsite-room"}
    assert f'<script type="module" src="{imports["chatsite-room"]}"></script>' in html


def test_they_are_there_once_a_page_however_often_they_are_asked_for() -> None:
    once = rendered("{% chat_scripts %}")
    assert once.count("<script") == 2
    assert rendered("{% chat_scripts %}{% include part %}", part=PART).count("<script") == 2
    assert rendered("{% chat_scripts %}") == once


PART = Template("{% load chat %}{% chat_scripts %}")


def test_a_page_may_have_an_import_map_of_its_own() -> None:
    assert "importmap" not in rendered("{% chat_scripts import_map=False %}")


class Lazy:
    """As Django's: false until it has been asked for."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "once"


@pytest.mark.parametrize("attribute", ["_csp_nonce", "csp_nonce"], ids=["Django", "django-csp"])
def test_what_the_policy_must_let_through_has_its_nonce(attribute: str) -> None:
    request = request_of(JIM)
    setattr(request, attribute, Lazy())
    html = rendered('{% chat_scripts %}{% chat_room "news" %}', request)
    tags = re.findall(r"<(?:script|link)\b[^>]*>", html)
    assert len(tags) == 3
    assert all('nonce="once"' in tag for tag in tags)


# --- chat_room ----------------------------------------------------------------------------------


def test_a_room_knows_its_user_and_where_to_ask() -> None:
    html = rendered('{% chat_room channel label="Order 42" %}', channel="order-42")
    found = attributes(html)
    assert found.pop("csrf")
    assert found == {
        "channel": "order-42",
        "uid": "1234567",
        "websocket": "/v1",
        "token": "/token",
    }
    assert "Messages in Order 42" in html
    assert 'href="/static/chat/room/' in html
    assert " readonly" in rendered('{% chat_room "news" readonly=True %}')


def test_there_is_nothing_inline() -> None:
    html = rendered('{% chat_room "news" %}')
    assert not re.search(r"<style|\sstyle=|<script|\son\w+=", html)


def test_names_are_escaped() -> None:
    name = 'a"><script>alert(1)</script>'
    html = rendered("{% chat_room channel label=channel %}", channel=name)
    assert "<script" not in html
    assert attributes(html.replace("&gt;", "&#62;"))["channel"] == name


def deactivated() -> User:
    return User(pk=2, is_active=False)


@pytest.mark.parametrize("user", [None, AnonymousUser(), deactivated()], ids=str)
def test_who_is_not_logged_in_is_told_so_and_gets_no_address(user: object) -> None:
    html = rendered('{% chat_room "news" %}', request_of(user))
    assert attributes(html) == {"channel": "news"}
    assert "Sign in to read and write here." in html
    assert "chat-window" not in html


def test_a_room_without_rules_is_told(set_chat: Setter) -> None:
    set_chat(RULES="")
    with pytest.raises(ImproperlyConfigured, match=r'CHAT\["RULES"\]'):
        rendered('{% chat_room "news" %}')


def test_a_room_without_a_request_is_told() -> None:
    template = Template('{% load chat %}{% chat_scripts %}{% chat_room "news" %}')
    with pytest.raises(ImproperlyConfigured, match="needs the request"):
        template.render(Context())


def test_what_can_be_no_channel_is_told() -> None:
    with pytest.raises(TemplateSyntaxError, match="'order 42' cannot be a channel's name"):
        rendered('{% chat_room "order 42" %}')


# --- the token of a room ------------------------------------------------------------------------


@pytest.fixture
def client(sqlite: None) -> Client:
    client = Client()
    client.force_login(User.objects.get_or_create(username="jim")[0])
    return client


def asked(client: Client, channel: str) -> Any:
    return client.post("/token", {"channel": channel})


def test_a_token_for_one_channel_has_that_alone_and_says_what_it_allows(client: Client) -> None:
    answer = asked(client, "order-42").json()
    claims = verify(answer.pop("token"), scope="subscribe", now=time.time())
    assert claims.scope == {"connect", "subscribe"}
    assert set(json.loads(claims.payload)["channels"]) == {"order-42", "order-*"}
    assert answer == {"mayWrite": True, "mayType": True, "reactions": ["👍"]}
    answer = asked(client, "news").json()
    del answer["token"]
    assert answer == {"mayWrite": False, "mayType": False, "reactions": []}


@pytest.mark.parametrize("channel", ["secrets", "order-43", "unknown", "", "order *"])
def test_there_is_none_for_what_may_not_be_read(client: Client, channel: str) -> None:
    answer = asked(client, channel)
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == "This user may not read that channel."

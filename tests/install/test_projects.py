"""In projects of somebody else's, with the wheel installed (docs/django.md)."""

import base64
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import jwt
import pytest
from psycopg.conninfo import conninfo_to_dict
from websockets.exceptions import ConnectionClosed

from tests.install import odd
from tests.install.projects import (
    NAME,
    PASSWORD,
    Project,
    environment,
    follow,
    received,
    shown,
    started,
)
from tests.support.servers import Postgres

MOST_CHANGED = 10
LOOK = """
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from chat.models import Message
client = Client(headers={"host": "localhost"})
client.force_login(get_user_model().objects.create_superuser("root", password="x"))
message = Message.objects.filter(event="chat").get()
pages = [reverse(f"admin:chat_{name}_changelist") for name in ("message", "connection", "channel")]
pages += ["/admin/", reverse("admin:chat_message_change", args=[message.pk])]
print([client.get(page).status_code for page in pages])
"""
TEMPLATES = """
from django.template.loader import get_template
print([get_template(name).origin.name for name in ("admin/base_site.html", "chat/demo.html")])
"""
COLLECTED = """
from mysite.settings import *
STATIC_ROOT = BASE_DIR / "collected"
ALLOWED_HOSTS = ["localhost"]
BACKEND = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
STORAGES = {"staticfiles": {"BACKEND": BACKEND}}
CHAT = {"RULES": "people.live.rules"}
"""
PAGE = """
from django.conf import settings
from django.test import Client
settings.DEBUG = False
print(Client(headers={"host": "localhost"}).get("/demo/").content.decode())
"""
POOLED = """
from mysite.settings import *
from chat.store.databases import for_server
address = {"NAME": %r, "USER": %r, "HOST": %r, "PORT": %r}
DATABASES = {"default": for_server({"ENGINE": "django.db.backends.postgresql", **address})}
"""
STORED = """
from chat.models import Message
from chat.store.databases import connection
print(Message.objects.get().data, bool(connection.connection.identity))
"""
TAGS = """
from django.conf import settings
from django.contrib.auth import get_user_model
from django.template import RequestContext, Template
from django.test import RequestFactory
settings.DEBUG = False
request = RequestFactory().get("/")
request.user = get_user_model()(pk=1)
tags = Template('{% load chat %}{% chat_scripts %}{% chat_room "news" %}')
print(tags.render(RequestContext(request)))
"""
LIVE = """
def rules(request):
    return {"news": {"subscribe": True}}
"""
SESSION = """
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
client.force_login(get_user_model().objects.create_user("jim"))
print("session", client.session.session_key)
"""
DEACTIVATE = """
from django.contrib.auth import get_user_model
jim = get_user_model().objects.get(username="jim")
jim.is_active = False
jim.save()
"""
OTHER = "b.example.org"
ORIGINS = {"https://app.example.org": "https://app.example.org", f"https://{OTHER}": None}
KEY = base64.b64encode(secrets.token_bytes(48)).decode()


# --- a fresh project ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[None, "django==5.2.*"], ids=["newest", "5.2"])
def fresh(
    request: pytest.FixtureRequest,
    python: Path,
    wheel: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """Migrated, on this version of Django."""
    directory = tmp_path_factory.mktemp("fresh")
    if request.param:
        python = environment(directory / "venv", wheel, request.param)
    project = started(directory / "project", python)
    assert wheel.name in shown("django.md", "Installing")
    assert follow(project, "Installing") <= MOST_CHANGED
    return project


def test_a_fresh_project_chats_under_its_prefix(fresh: Project) -> None:
    with fresh.serving():
        issued = fresh.ask("/demo/tokens", {}).json()
        channel, one, other = issued["channel"], issued["jim"]["token"], issued["pam"]["token"]
        with fresh.connected("/live/v1", one) as jim, fresh.connected("/live/", other) as pam:
            for client in (jim, pam):
                client.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}))
                received(client, "hotsock.subscribed")
            jim.send(json.dumps({"event": "chat", "channel": channel, "data": "hello"}))
            assert received(pam, "chat")["data"] == "hello"
            fresh.manage("publish", channel, "noted", "by another process")
            assert received(pam, "noted")["data"] == "by another process"
        paths = ("/live/readyz", "/static/chat/demo/dist/main.js", "/readyz", "/publish")
        assert [fresh.ask(path).status_code for path in paths] == [200, 200, 404, 404]
        said = fresh.directory.joinpath("serve.log").read_text()
    assert "/demo/\n" in said
    assert "/admin/\n" in said
    assert "[200, 200, 200, 200, 200]" in fresh.manage("shell", "-c", LOOK)


@contextmanager
def logged_in(project: Project) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{project.port}"
    with httpx.Client(base_url=base, follow_redirects=True) as client:
        client.get("/admin/login/")
        fill(client, "/admin/login/", username=NAME, password=PASSWORD, next="/orders/")
        yield client


def fill(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Sends a form."""
    csrf = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
    return client.post(path, data={**fields, **csrf}).raise_for_status()


def test_all_who_look_at_a_list_see_an_order_come_and_change(fresh: Project) -> None:
    """As tests/install/try_django.py does it with browsers."""
    follow(fresh, "A live list")
    with fresh.serving(), logged_in(fresh) as ada:
        [listed] = re.findall(r'<ul id="orders".*?>', ada.get("/orders/").text, re.DOTALL)
        asked = dict(re.findall(r'data-(\w+)="(.*?)"', listed))
        channel = asked["channel"]
        one, other = (fill(ada, asked["tokens"], channel=channel).json()["token"] for _ in range(2))
        with (
            fresh.connected(asked["address"], one) as a,
            fresh.connected(asked["address"], other) as b,
        ):
            for client in (a, b):
                client.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}))
                received(client, "hotsock.subscribed")
            fill(ada, "/admin/shop/order/add/", customer="<Eve>", status="new")
            fill(ada, "/admin/shop/order/1/change/", customer="<Eve>", status="sent")
            for client in (a, b):
                assert received(client, "order.created")["data"]["status"] == "new"
                row = received(client, "order.changed")["data"]["html"]
                assert row.strip() == '<li id="order-1">&lt;Eve&gt;: sent</li>'
                assert row in ada.get("/orders/").text


def test_a_user_of_the_project_connects_until_deactivated(fresh: Project) -> None:
    settings = fresh.directory / "mysite/settings.py"
    fresh.write("people/live.py", LIVE)
    fresh.write(
        "mysite/settings.py", f'{settings.read_text()}\nCHAT = {{"RULES": "people.live.rules"}}'
    )
    session = fresh.manage("shell", "-c", SESSION).split()[-1]
    csrf = secrets.token_hex(16)
    cookies = {"Cookie": f"sessionid={session}; csrftoken={csrf}"}
    with fresh.serving():
        assert fresh.ask("/live/token", {}, **cookies).status_code == 403
        answered = fresh.ask("/live/token", {}, **cookies, **{"X-CSRFToken": csrf})
        with fresh.connected("/live/v1", answered.json()["token"]) as jim:
            received(jim, "hotsock.connected")
            fresh.manage("shell", "-c", DEACTIVATE)
            with pytest.raises(ConnectionClosed) as closed:
                received(jim, "never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403
        answered = fresh.ask("/live/token", {}, **cookies, **{"X-CSRFToken": csrf})
        assert answered.status_code == 401


def test_it_goes_on_a_pool_of_postgresql(fresh: Project, postgres: Postgres) -> None:
    at = conninfo_to_dict(postgres.database())
    fresh.write("mysite/pooled.py", POOLED % (at["dbname"], at["user"], at["host"], at["port"]))
    pooled = "--settings", "mysite.pooled"
    fresh.manage("migrate", *pooled)
    fresh.manage("publish", "news", "noted", "hello", "--store", "60", *pooled)
    assert fresh.manage("shell", "--no-imports", "-c", STORED, *pooled) == '"hello" True\n'


def unescaped(script: str) -> str:
    """With the characters that JSON has as a code."""
    return re.sub(r"\\u([0-9A-F]{4})", lambda found: chr(int(found[1], 16)), script)


def test_what_is_not_the_chats_stays_the_projects(fresh: Project) -> None:
    said = fresh.manage("shell", "-c", TEMPLATES)
    assert "django/contrib/admin/templates/admin/base_site.html" in said
    assert "chat/templates/chat/demo.html" in said
    fresh.write("mysite/collected.py", COLLECTED)
    fresh.manage("collectstatic", "--no-input", "--settings", "mysite.collected")
    page = fresh.manage("shell", "--settings", "mysite.collected", "-c", PAGE)
    assert re.search(r"/static/chat/demo/dist/main\.[0-9a-f]{12}\.js", page)
    tags = fresh.manage("shell", "--settings", "mysite.collected", "-c", TAGS)
    for file in ("client/dist/index.js", "room/dist/room.js", "room/dist/room.css"):
        name, _, kind = file.rpartition(".")
        assert re.search(rf"/static/chat/{name}\.[0-9a-f]{{12}}\.{kind}", unescaped(tags)), file
    assert 'token="/live/token"' in tags
    assert "--noreload" in fresh.manage("runserver", "--help")
    assert "daphne" not in fresh.manage("runserver", "--help").lower()


# --- a strange one ------------------------------------------------------------------------------


@pytest.fixture
def strange(python: Path, postgres: Postgres, tmp_path: Path) -> Project:
    """All that a fresh one is not: tests/install/odd.py."""
    names = {"dbname": "NAME", "user": "USER", "host": "HOST", "port": "PORT"}
    given = conninfo_to_dict(postgres.database())
    events = {names[name]: value for name, value in given.items() if name in names}
    project = Project(tmp_path, python)
    for file, text in odd.FILES.items():
        project.write(file, text)
    settings = odd.FILES["odd/configuration.py"]
    project.write("odd/configuration.py", f"EVENTS, KEY = {events!r}, {KEY!r}\n{settings}")
    return project


def token() -> str:
    claims = {"scope": "connect", "exp": time.time() + 300}
    channels = {"channels": {"news": {"subscribe": True}}}
    return jwt.encode(claims | channels, base64.b64decode(KEY), "HS256")


def test_a_strange_project_chats_from_a_database_of_its_own(strange: Project) -> None:
    strange.manage("migrate")
    assert "run `manage.py migrate" in strange.refused("serve", "--port", "0")
    strange.manage("migrate", "--database", "events")
    base, bearer = "/of/channels", {"authorization": f"Bearer {KEY}"}
    with strange.serving(), strange.connected(f"{base}/v1", token()) as client:
        client.send(json.dumps({"event": "hotsock.subscribe", "channel": "news"}))
        received(client, "hotsock.subscribed")
        message = {"channel": "news", "event": "stored", "data": 1, "store": -1}
        answer = strange.ask(f"{base}/publish", message, **bearer)
        assert (answer.status_code, "x-marked" in answer.headers) == (202, False)
        assert received(client, "stored")["data"] == 1
        assert strange.ask("/page?colour=red&secret=blue").headers["x-marked"] == "yes"
        assert received(client, "seen")["data"] == "red"
        strange.manage("publish", "news", "stored", "2")
        assert received(client, "stored")["data"] == 2
        with strange.connected("/own", "") as other:
            assert other.recv() == "own"
        named = strange.ask(f"{base}/channels/of/channels/a%2Fb", **bearer)
        assert named.json()["name"] == "of/channels/a/b"
        for origin, allowed in ORIGINS.items():
            answer = strange.ask(f"{base}/connection/listMessages", {}, origin=origin)
            assert answer.headers.get("access-control-allow-origin") == allowed
        elsewhere = [strange.ask(f"{base}/{name}", host=OTHER) for name in ("publish", "healthz")]
        assert [answer.status_code for answer in elsewhere] == [400, 200]
    log = strange.directory.joinpath("own.log").read_text()
    assert "secret=blue" in log  # the project's own lines are as it writes them
    assert KEY not in log
    assert b"chat_" not in strange.directory.joinpath("own.sqlite3").read_bytes()


def test_an_app_of_the_projects_that_is_called_chat(strange: Project) -> None:
    strange.write("chat/__init__.py", "")
    said = strange.refused("check")
    assert f"The project's own app `chat` ({strange.directory / 'chat'}) hides" in said

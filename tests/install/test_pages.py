"""The pages for Django projects as their readers follow them: what docs/django-models.md,
docs/django-tasks.md, docs/django-tests.md, docs/django-deploy.md and docs/django-channels.md show
is in one project, and works."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from websockets.sync.client import connect

from tests.install.projects import NAMED, Project, blocks, run, shown, started, with_chat, write
from tests.support.chromium import launching
from tests.support.servers import ROOT

PATIENCE = 30_000  # ms
HTMX = ROOT / "node_modules/htmx.org/dist/htmx.min.js"
SETTINGS = """
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
SECURE_CSP = {"default-src": ["'self'"]}
MIDDLEWARE += ["django.middleware.csp.ContentSecurityPolicyMiddleware"]
"""
URLS = """
from shop import views
urlpatterns += [
    path("ship/<int:pk>", views.ship, name="ship"),
    path("shops/<slug:shop>", views.orders),
]
"""
CELERY = """
from functools import partial
from django.db import transaction
def shared_task(function):
    function.delay_on_commit = lambda *args: transaction.on_commit(partial(function, *args))
    return function
"""
PREPARE = """
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
call_command("makemigrations", "shop")
call_command("migrate", verbosity=0)
client = Client()
client.force_login(get_user_model().objects.create_superuser("ada", password="x"))
print("session", client.session.session_key)
"""
NEW = """
from shop.models import Order
Order.objects.create(shop="1", customer="Ada <script>")
"""
ELSEWHERE = """
from shop.elsewhere import ship
from shop.models import Order
old = Order.objects.get()
ship([Order.objects.create(shop="1", customer="Bob").pk])
old.delete()
"""
PUBLISHED = """
from chat.models import Message
from shop.elsewhere import place, remind_later, tell
pk = place("Eve").pk
remind_later(pk)
tell(pk, "default")
print(list(Message.objects.of(f"order-{pk}").order_by("id").values_list("event", flat=True)))
"""
# As the page gets it: what a client sent, what the server published of a row that is not in the
# list, and of a new one.
FORGED = """async () => {
  const { showRows } = await import("/static/chat/rows/rows.js");
  const bound = new Map();
  const channel = { bind: (event, heard) => bound.set(event, heard) };
  const list = document.createElement("ul");
  showRows(channel, list, { name: "order" });
  const [created, changed] = ["order.created", "order.changed"].map((event) => bound.get(event));
  const data = (id) => ({ id, html: `<li id="order-${id}"></li>` });
  created({ event: "order.created", data: data(1), meta: { uid: null } });
  changed({ event: "order.changed", data: data(2) });
  created({ event: "order.created", data: data(3) });
  while (!list.children.length) await new Promise((go) => setTimeout(go));
  return [...list.children].map((row) => row.id);
}"""


def unnamed(name: str) -> str:
    """The functions that the page shows without saying where."""
    return "\n\n".join(
        text
        for language, text in blocks(shown(name))
        if language == "python" and "\ndef " in text and not NAMED.match(text)
    )


@pytest.fixture(scope="module")
def shop(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Migrated, with all that the pages show, and the session of somebody of the staff."""
    project = started(tmp_path_factory.mktemp("shop") / "project", python)
    with_chat(project)
    project.write("shop/__init__.py", "")
    project.write("celery.py", CELERY)
    write(project, shown("django.md", "A live list"))
    for name in ("models", "tasks", "tests", "channels", "deploy"):
        write(project, shown(f"django-{name}.md"))
    functions = unnamed("django-models.md"), unnamed("django-tasks.md")
    project.write("shop/elsewhere.py", "\n\n".join(functions))
    for file, text in (("settings", SETTINGS), ("urls", URLS)):
        path = f"mysite/{file}.py"
        project.write(path, (project.directory / path).read_text() + text)
    shutil.copy(HTMX, project.directory / "shop/static/shop")
    said = project.manage("shell", "-c", PREPARE)
    project.write("session", said.split()[-1])
    return project


@pytest.fixture
def page(shop: Project) -> Iterator[Page]:
    """Of a browser that is logged in; what the policy blocks fails the test."""
    session = (shop.directory / "session").read_text()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching())
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        url = f"http://127.0.0.1:{shop.port}"
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        blocked: list[str] = []
        page.on(
            "console", lambda said: "Content Security" in said.text and blocked.append(said.text)
        )
        yield page
        browser.close()
    assert blocked == []


def test_a_page_follows_the_rows_of_a_model(shop: Project, page: Page) -> None:
    rows = page.locator("#orders tr")
    with shop.serving():
        answer = page.goto(f"http://127.0.0.1:{shop.port}/shops/1")
        assert answer
        assert answer.headers["content-security-policy"] == "default-src 'self'"
        shop.manage("shell", "-c", NEW)
        expect(rows).to_have_text([re.compile(r"Ada <script>\s*new")])
        button = page.get_by_role("button", name="Ship")
        button.press("Enter")
        expect(rows).to_have_text([re.compile(r"Ada <script>\s*shipped")])
        expect(button).to_be_focused()
        assert page.evaluate(FORGED) == ["order-3"]
    shop.manage("shell", "-c", ELSEWHERE)
    with shop.serving():
        expect(rows).to_have_text([re.compile(r"Bob\s*shipped")])


def test_a_worker_publishes(shop: Project) -> None:
    said = shop.manage("shell", "-c", PUBLISHED)
    assert "['progress', 'printed', 'reminder', 'printed']" in said


def test_a_project_tests_against_a_real_server(shop: Project) -> None:
    assert "\nOK" in shop.manage("test", "shop", "--keepdb")
    settings = ["--ds", "mysite.settings", "-p", "chat.pytest_plugin", "--reuse-db"]
    said = run(shop.python, "-m", "pytest", *settings, "shop/test_pages.py", cwd=shop.directory)
    assert "1 passed" in said


def test_consumers_of_ones_own_are_served_beside_it(shop: Project) -> None:
    with shop.serving(), connect(f"ws://127.0.0.1:{shop.port}/ws/orders", proxy=None) as client:
        client.ping().wait(PATIENCE / 1000)


def test_a_proxy_takes_what_the_page_shows(tmp_path: Path) -> None:
    [locations] = [
        text for language, text in blocks(shown("django-deploy.md")) if language == "nginx"
    ]
    map_ = "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"
    server = f"server {{ listen 127.0.0.1:1; access_log off; {locations} }}"
    own = f"pid {tmp_path}/pid; error_log stderr; events {{}}"
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(f"{own} http {{ {map_} {server} }}")
    subprocess.run(["nginx", "-t", "-c", configuration], check=True)

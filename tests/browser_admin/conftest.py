"""The admin in a real browser beside a live chat: one server, a moderator, and one who may look.

What a page logs as an error, throws or has blocked by the content security policy fails the test.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.chromium import launching
from tests.support.servers import Server, manage, start_server

LIMIT = 30_000  # ms: for whatever is waited for
LOUD = {"error", "warning", "assert"}
VIEWER = """
from django.contrib.auth.models import Permission, User
viewer = User.objects.create_user("viewer", password={!r}, is_staff=True)
viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
"""

type Open = Callable[..., Page]


@pytest.fixture(scope="session")
def password() -> str:
    return secrets.token_urlsafe(16)


@pytest.fixture(scope="package")
def chat_server(tmp_path_factory: pytest.TempPathFactory, password: str) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("admin")
    with start_server("uvicorn", directory, DJANGO_SUPERUSER_PASSWORD=password) as server:
        named = ("--username", "root", "--email", "root@example.org")
        for command in (("createsuperuser", "--no-input", *named), ("shell", "-c", VIEWER)):
            outcome = manage(server.env, *(part.format(password) for part in command))
            assert outcome.returncode == 0, outcome.stderr
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module, not a session: its event loop runs until it is closed, and no asynchronous
    test can run in the same process meanwhile."""
    expect.set_options(timeout=LIMIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching())
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens blank pages, each in a browser of its own as the server sees it."""
    contexts, problems = [], []

    def open_page(**options: Any) -> Page:
        size = {"width": 1280, "height": 900}
        context = browser.new_context(**{"viewport": size, "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        page.on("console", lambda line: line.type in LOUD and problems.append(line.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="module")
def logged_in(browser: Browser, chat_server: Server, password: str) -> dict[str, Any]:
    """The cookies of each user of the admin, who has logged in once."""
    states = {}
    for name in ("root", "viewer"):
        context = browser.new_context(base_url=chat_server.url)
        page = context.new_page()
        page.goto("/admin/")
        page.fill("[name=username]", name)
        page.fill("[name=password]", password)
        page.click("[type=submit]")
        page.get_by_role("link", name="Messages").first.wait_for()
        states[name] = context.storage_state()
        context.close()
    return states


@pytest.fixture
def log_in(open_page: Open, chat_server: Server, logged_in: dict[str, Any]) -> Open:
    """Opens the admin's front page as one of its users."""

    def log_in(name: str, **options: Any) -> Page:
        page = open_page(base_url=chat_server.url, storage_state=logged_in[name], **options)
        page.goto("/admin/")
        return page

    return log_in

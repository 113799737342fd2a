"""The admin works in a real browser under the site's content security policy."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.servers import Server, manage, start_server

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Server]:
    """A server whose admin user is `root`; the password is in the server's environment."""
    password = secrets.token_urlsafe(16)
    with start_server("uvicorn", tmp_path, DJANGO_SUPERUSER_PASSWORD=password) as server:
        named = ("--username", "root", "--email", "root@example.org")
        created = manage(server.env, "createsuperuser", "--no-input", *named)
        assert created.returncode == 0, created.stderr
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser.new_page()
        browser.close()


def test_every_list_opens_with_its_styles_and_nothing_is_blocked(admin: Server, page: Page) -> None:
    complaints: list[str] = []
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{admin.url}/admin/")
    page.fill("[name=username]", "root")
    page.fill("[name=password]", admin.env["DJANGO_SUPERUSER_PASSWORD"])
    page.click("[type=submit]")
    links = page.locator("#content-main th a")
    links.first.wait_for()
    addresses = [link.get_attribute("href") for link in links.all()]
    assert len(addresses) >= 6, addresses
    for address in addresses:
        answer = page.goto(f"{admin.url}{address}")
        assert answer is not None
        assert answer.status == 200, address
        colour = page.evaluate(
            "getComputedStyle(document.querySelector('#header')).backgroundColor"
        )
        assert colour != "rgba(0, 0, 0, 0)"
    assert complaints == []

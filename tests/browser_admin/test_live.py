"""The live page in a real browser, before two processes of one site."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser_admin.chat import Chat
from tests.browser_admin.conftest import VIEWER, Open
from tests.support.servers import Postgres, Server, keys_of, manage, start_server

PHONE = {"width": 375, "height": 812}


@pytest.fixture(scope="module")
def two(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, password: str
) -> Iterator[tuple[Server, Server]]:
    directory, env = tmp_path_factory.mktemp("live"), {"DATABASE_URL": postgres.database()}
    with start_server("uvicorn", directory, **env) as one:
        outcome = manage(one.env, "shell", "-c", VIEWER.format(password))
        assert outcome.returncode == 0, outcome.stderr
        with start_server("uvicorn", directory, **env, **keys_of(one)) as other:
            yield one, other


@pytest.fixture
def page(open_page: Open, two: tuple[Server, Server], password: str) -> Page:
    """Logged in, at the first process; its time can be moved."""
    page = open_page(base_url=two[0].url)
    page.clock.install()
    page.goto("/admin/")
    page.fill("[name=username]", "viewer")
    page.fill("[name=password]", password)
    page.click("[type=submit]")
    return page


def findings(page: Page) -> list[str]:
    """All of them, in the light; of colours, in the dark, too."""
    found: list[str] = []
    options: dict[str, Any] = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("() => document.getAnimations().length === 0")
        violations = Axe().run(page, options=options).response["violations"]
        options = {"runOnly": ["color-contrast", "link-in-text-block"]}
        found += [
            f"{scheme}: {each['id']}: {node['html']} {node['failureSummary']}"
            for each in violations
            for node in each["nodes"]
        ]
    return found


def test_both_processes_are_shown_until_one_is_away(
    page: Page, open_page: Open, two: tuple[Server, Server]
) -> None:
    one, other = two
    chat = Chat(open_page(base_url=other.url))
    chat.say("jim", "hello")
    page.get_by_role("link", name="Live page").first.click()
    expect(page.get_by_role("status")).to_have_text("Connected.")
    sections = [page.get_by_role("region", name=f"process {each.pid}") for each in two]
    for section, connections in zip(sections, ("1", "2"), strict=True):
        tile = section.get_by_role("listitem").filter(has_text="Connections")
        expect(tile.locator("strong")).to_have_text(connections)
        expect(tile.get_by_role("img")).to_have_accessible_name(
            re.compile(rf"Connections in the last hour: from \d to \d, at last {connections}\.")
        )
        section.get_by_text("Background tasks:").click()
        expect(section.get_by_text("scheduler: runs, never failed")).to_be_visible()
    row = page.get_by_role("row", name=chat.channel)
    expect(row.get_by_role("cell").last).to_have_text("2")
    assert findings(page) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    chat.page.close()
    with other.paused():
        page.clock.fast_forward(31_000)
        expect(sections[1]).to_contain_text("Away: no sample for")
        expect(page.get_by_role("status")).to_contain_text(f"process {other.pid}")
        expect(sections[0]).not_to_contain_text("Away")
    with one.paused():
        page.clock.fast_forward(15_000)
        page.clock.fast_forward(15_000)
        expect(page.get_by_role("status")).to_have_text("Connection lost; trying again…")
    expect(page.get_by_role("status")).to_contain_text("Connected.")

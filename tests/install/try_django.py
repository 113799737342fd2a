"""`make try-django`: docs/django.md from nothing to a live list in two browsers, in a project of
somebody else's."""

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.install.projects import (
    NAME,
    PASSWORD,
    Project,
    build,
    environment,
    follow,
    started,
)
from tests.support.chromium import launching

LIMIT_SECONDS = 180
PATIENCE = 30_000  # ms


def main() -> None:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {what}", flush=True)

    with tempfile.TemporaryDirectory(prefix="try-django-") as name:
        directory = Path(name)
        wheel = build(directory / "dist")
        say(f"built {wheel.name}")
        python = environment(directory / "environment", wheel, empty=True)
        say("installed it into an empty environment")
        project = started(directory / "project", python)
        say("made a project")
        say(f"changed {follow(project, 'Installing')} lines of it, and migrated")
        say(f"gave it a live list, and changed {follow(project, 'A live list')} lines more")
        with project.serving():
            say("served")
            look(project)
    say("an order that the one browser adds is in the lists of both")
    assert time.monotonic() - began < LIMIT_SECONDS


def look(project: Project) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching())
        one, other = (opened(browser, project) for _ in range(2))
        add = one.context.new_page()
        add.goto(f"http://127.0.0.1:{project.port}/admin/shop/order/add/")
        add.get_by_label("Customer").fill("Eve")
        add.get_by_role("button", name="Save", exact=True).click()
        for page in (one, other):
            expect(page.locator("#orders li")).to_have_text("Eve: new", timeout=PATIENCE)
        browser.close()


def opened(browser: Browser, project: Project) -> Page:
    """The list, in a context of its own: another browser, as the server sees it."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"http://127.0.0.1:{project.port}/orders/")
    page.get_by_label("Username").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#orders")).to_be_attached(timeout=PATIENCE)
    return page


if __name__ == "__main__":
    main()

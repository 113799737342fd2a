"""`make try-django`: from nothing to a message in two browsers, in a project of somebody else's."""

import re
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.install.projects import Project, build, environment, started, with_chat
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
        say(f"made a project, and changed {with_chat(project)} lines of it")
        project.manage("migrate")
        say("migrated")
        with project.serving():
            say("served")
            chat(project)
    say("a message of the one browser is in the other")
    assert time.monotonic() - began < LIMIT_SECONDS


def chat(project: Project) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching())
        jim = opened(browser, f"http://127.0.0.1:{project.port}/demo/")
        pam = opened(browser, jim.url)
        written = jim.get_by_label("Message as Jim")
        written.fill("Hello from the other browser")
        written.press("Enter")
        log = pam.get_by_label("Messages in Pam’s window")
        expect(log).to_contain_text("Hello from the other browser", timeout=PATIENCE)
        browser.close()


def opened(browser: Browser, url: str) -> Page:
    """A page in a context of its own: another browser, as the server sees it."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_url(re.compile("#.+"))
    return page


if __name__ == "__main__":
    main()

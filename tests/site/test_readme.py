"""What README.md shows works as it stands there, and its table names every setting."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from chat.conf import ChatSettings
from tests.support.chromium import launching
from tests.support.servers import ROOT, Server, start_server
from tokens.conf import TokenSettings

README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8000"


def snippet(language: str, containing: str) -> str:
    """The one code block of that language that has `containing` in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if containing in block]
    return str(found)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    with start_server("uvicorn", tmp_path) as server:
        yield server


@pytest.fixture
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching())
        yield browser.new_page()
        browser.close()


def save(directory: Path, server: Server, name: str, text: str) -> Path:
    """The snippet as the reader saves it, but for the port."""
    path = directory / name
    path.write_text(text.replace(ADDRESS, f"127.0.0.1:{server.port}"), encoding="utf-8")
    return path


def issued(path: Path, server: Server) -> str:
    env = {**server.env, "PYTHONPATH": str(ROOT)}  # the reader saves it in the repository's folder
    return subprocess.run(
        [sys.executable, str(path)], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_five_minutes_to_a_channel_of_ones_own(
    own: Server, tmp_path: Path, browser_page: Page
) -> None:
    token = issued(save(tmp_path, own, "issue.py", snippet("python", "issue(")), own)
    html = snippet("html", "HotsockClient").replace("PUT THE TOKEN HERE", token)
    browser_page.goto(save(tmp_path, own, "news.html", html).as_uri())
    command = browser_page.locator("pre", has_text="curl")
    command.wait_for()
    notes = browser_page.locator("li")

    browser_page.click("button")
    notes.nth(0).wait_for()
    assert notes.all_text_contents() == ["ada: hello from the browser"]

    shell = command.inner_text()
    listed = json.loads(subprocess.check_output(["sh", "-c", shell], stderr=subprocess.DEVNULL))
    assert [message["data"] for message in listed["messages"]] == ["hello from the browser"]

    follow = save(tmp_path, own, "follow.py", snippet("python", "websockets"))
    with subprocess.Popen(
        [sys.executable, str(follow), token], stdout=subprocess.PIPE, text=True
    ) as following:
        notes.nth(1).wait_for()
        assert notes.all_text_contents()[1] == "ada: hello from Python"
        browser_page.click("button")
        assert following.stdout is not None
        assert any("hello from the browser" in line for line in following.stdout)
        following.terminate()


# What the site sets itself; a project of its own may (docs/django.md).
OF_PROJECTS = {
    *("PROBLEMS", "DATABASE", "BOUND_PAGE_BODIES"),
    *("RULES", "USER_METADATA", "UIDS_ARE_USERS"),
}


def test_the_table_names_every_setting_and_no_other() -> None:
    source = (ROOT / "chatsite" / "settings.py").read_text(encoding="utf-8")
    own = set(re.findall(r'\b(?:text|flag|words)\("([A-Z0-9_]+)"', source))
    read = own | ChatSettings.__annotations__.keys() | TokenSettings.__annotations__.keys()
    rows = re.findall(r"^\| (`[A-Z].*?) \|", README, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}
    assert "DATABASE_URL" in read
    assert named == read - OF_PROJECTS


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target

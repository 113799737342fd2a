"""Chat windows in a page of somebody else's project (docs/django-templates.md)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.install.rooms import Host, serving
from tests.support.chromium import launching

PATIENCE = 30_000  # ms
LOUD = {"error", "warning", "assert"}
DELETE = """
from chat import api
from chat.models import Message
message = Message.objects.get(channel__name="order-42", data__contains="rude")
api.delete_message("order-42", message.pk)
"""

PUT_ANEW = """async () => {
  const html = await (await fetch(location)).text();
  const [start, end] = [html.indexOf("<chat-room"), html.indexOf("</chat-room>")];
  document.querySelector("chat-room").outerHTML = html.slice(start, end);
}"""

type Open = Callable[..., Page]


@pytest.fixture(scope="module")
def host(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with serving(tmp_path_factory.mktemp("rooms"), python) as host:
        yield host


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching())
        yield browser
        browser.close()


@pytest.fixture
def open_page(host: Host, chromium: Browser) -> Iterator[Open]:
    """Opens a page of the project's as this user. What it logs as an error, or its policy blocks,
    fails the test unless that is expected."""
    problems: list[str] = []
    contexts = []

    def open_page(name: str, path: str = "order", expecting: str = "\0", **options: Any) -> Page:
        context = host.enter(chromium, name, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "console",
            lambda said: (
                problems.append(said.text)
                if said.type in LOUD and expecting not in said.text
                else None
            ),
        )
        page.on("pageerror", lambda error: problems.append(f"{error}\n{error.stack}"))
        page.goto(f"{host.url}/page/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def room(page: Page) -> Locator:
    return page.locator("chat-room").first


def say(page: Page, text: str) -> None:
    field = room(page).get_by_role("textbox", name="Message in")
    field.fill(text)
    field.press("Enter")


def bubble(page: Page, text: str) -> Locator:
    return room(page).locator(".bubble").get_by_text(text, exact=True)


def message(page: Page, text: str) -> Locator:
    return room(page).get_by_role("listitem").filter(has=page.get_by_text(text, exact=True))


def test_two_users_chat_in_one_room(host: Host, open_page: Open) -> None:
    jim, pam = open_page("jim"), open_page("pam")
    say(jim, "<b>hello</b>")
    expect(message(pam, "<b>hello</b>").locator(".sender")).to_have_text("Jim")
    room(pam).get_by_role("textbox").press_sequentially("a")
    expect(room(jim).locator(".typing-words")).to_have_text("Pam is typing…")
    bubble(pam, "<b>hello</b>").hover()
    room(pam).get_by_role("button", name="React with heart").click()
    expect(message(jim, "<b>hello</b>").locator(".chip")).to_have_attribute("title", "Pam")
    say(pam, "hi")
    face = message(jim, "hi").locator("img")
    expect(face).to_have_attribute("src", "/static/pam.svg")
    say(jim, "something rude")
    expect(bubble(pam, "something rude")).to_be_visible()
    host.project.manage("shell", "-c", DELETE)
    expect(bubble(pam, "something rude")).to_have_count(0)
    jim.reload()
    expect(message(jim, "<b>hello</b>").locator(".chip")).to_have_attribute("title", "Pam")


def test_what_is_written_without_a_connection_goes_out_later(open_page: Open) -> None:
    jim, pam = open_page("jim", expecting="ERR_INTERNET_DISCONNECTED"), open_page("pam")
    say(jim, "before")
    expect(bubble(pam, "before")).to_be_visible()
    jim.context.set_offline(True)
    expect(room(jim).locator(".notice p")).to_contain_text("This device is offline.")
    say(jim, "kept")
    expect(room(jim).locator(".fate-words")).to_have_text("Not sent yet")
    say(pam, "missed")
    jim.context.set_offline(False)
    expect(bubble(jim, "missed")).to_be_visible()
    expect(bubble(pam, "kept")).to_be_visible()
    expect(room(jim).locator(".waiting")).to_have_count(0)


def test_who_may_not_read_is_told_so(open_page: Open) -> None:
    nobody = open_page("")
    sockets: list[object] = []
    nobody.on("websocket", lambda socket: sockets.append(socket))
    nobody.reload()
    expect(room(nobody)).to_contain_text("Sign in to read and write here.")
    assert nobody.evaluate("customElements.whenDefined('chat-room').then(() => true)")
    refused = open_page("eve", expecting="403 (Forbidden)")
    expect(room(refused).locator(".notice p")).to_have_text("You may not read this chat.")
    expect(room(refused).get_by_role("textbox")).to_have_count(0)
    assert sockets == []


def test_who_may_only_read_has_nowhere_to_write(open_page: Open) -> None:
    jim, ann = open_page("jim"), open_page("ann")
    say(jim, "for all")
    expect(bubble(ann, "for all")).to_be_visible()
    expect(room(ann).get_by_role("textbox")).to_have_count(0)
    bubble(ann, "for all").click()
    expect(room(ann).get_by_role("group", name="React")).to_have_count(0)


def test_rooms_of_a_page_share_one_connection(open_page: Open) -> None:
    jim, sockets = open_page("jim", "two"), []
    rooms = jim.locator("chat-room")
    live = jim.locator("[data-phase=live]")
    expect(live).to_have_count(2)
    jim.on("websocket", lambda socket: sockets.append(socket))
    jim.reload()
    expect(live).to_have_count(2)
    assert len(sockets) == 1
    expect(rooms.last.locator(".present")).to_have_text("1 here")
    say(open_page("pam"), "to one of them")
    expect(bubble(jim, "to one of them")).to_be_visible()
    expect(rooms.last.locator(".bubble")).to_have_count(0)


def test_modules_of_the_page_import_the_client_by_name(open_page: Open) -> None:
    kind = "import('chatsite-client').then(({ HotsockClient }) => typeof HotsockClient)"
    assert open_page("").evaluate(kind) == "function"


def test_a_room_may_be_put_into_a_page_moved_and_taken_out(open_page: Open) -> None:
    jim, pam = open_page("jim", "two", expecting="setHTMLUnsafe"), open_page("pam")
    live = jim.locator("[data-phase=live]")
    expect(live).to_have_count(2)
    sockets: list[Any] = []
    jim.on("websocket", lambda socket: sockets.append(socket))
    jim.evaluate(PUT_ANEW)
    expect(live).to_have_count(2)
    jim.evaluate("document.querySelector('h1').before(document.querySelector('chat-room'))")
    expect(live).to_have_count(2)
    assert sockets == []
    say(jim, "once")
    expect(bubble(pam, "once")).to_be_visible()
    say(pam, "answered")
    expect(bubble(jim, "answered")).to_be_visible()
    expect(bubble(pam, "once")).to_have_count(1)


INKS = {
    ("two", "light"): "rgb(26, 29, 36)",
    ("two", "dark"): "rgb(236, 238, 242)",
    ("themed", "light"): "rgb(20, 32, 30)",
    ("themed", "dark"): "rgb(238, 245, 243)",
}


@pytest.mark.parametrize(("look", "scheme"), INKS)
def test_nothing_stands_in_the_way_of_a_reader(open_page: Open, look: str, scheme: str) -> None:
    """By itself, and as the page says how to change its look."""
    phone = {"viewport": {"width": 375, "height": 700}, "color_scheme": scheme}
    jim = open_page("jim", look, expecting="inline style", **phone)  # axe's own
    words = f"seen {look} and {scheme}"
    say(jim, words)
    expect(bubble(jim, words)).to_be_visible()
    bubble(jim, words).click()
    found = Axe().run(jim)
    assert [f"{one['id']}: {one['help']}" for one in found.response["violations"]] == []
    assert jim.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ink = "getComputedStyle(document.querySelector('chat-room')).color"
    assert jim.evaluate(ink) == INKS[look, scheme]

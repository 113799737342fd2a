"""Every page of the admin works under the site's policy, in the dark and on a phone."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser_admin.chat import Chat
from tests.browser_admin.conftest import Open
from tests.support.servers import Server

LISTS = ("message", "channel", "connection", "reaction", "subscription", "node")
SCREENS: dict[str, dict[str, Any]] = {
    "desk": {},
    "phone": {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True},
    "dark": {"color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def chat(browser: Browser, chat_server: Server) -> Iterator[Chat]:
    """An open chat with a long message and a reaction to it."""
    context = browser.new_context(base_url=chat_server.url)
    chat = Chat(context.new_page())
    chat.say("jim", "a word " * 40)
    chat.react("pam", "a word", "❤️")
    yield chat
    context.close()


@pytest.mark.usefixtures("chat")
@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
def test_every_page_opens_with_its_styles(log_in: Open, screen: dict[str, Any]) -> None:
    admin = log_in("root", **screen)
    for model in LISTS:
        answer = admin.goto(f"/admin/chat/{model}/")
        assert answer is not None
        assert answer.status == 200
        assert_fits(admin, screen)
        admin.locator("#result_list th a").first.click()
        admin.get_by_role("button", name="Back to the list").wait_for()
        assert_fits(admin, screen)


def test_every_list_on_the_front_page_opens_with_its_styles(log_in: Open) -> None:
    admin = log_in("root")
    addresses = [link.get_attribute("href") for link in admin.locator("#content-main th a").all()]
    assert len(addresses) > len(LISTS), addresses
    for address in filter(None, addresses):
        answer = admin.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        colour = "getComputedStyle(document.querySelector('#header')).backgroundColor"
        assert admin.evaluate(colour) != "rgba(0, 0, 0, 0)"


def assert_fits(page: Page, screen: dict[str, Any]) -> None:
    """Nothing makes the page wider than the screen; text and ground are of the reader's scheme."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    light = page.evaluate(LIGHTNESS)
    assert (light < 0.2) if screen.get("color_scheme") == "dark" else (light > 0.8)
    for pre in page.locator("pre.json").all():
        assert pre.evaluate("(pre) => getComputedStyle(pre).whiteSpace") == "pre-wrap"


LIGHTNESS = """() => {
  const ground = getComputedStyle(document.body).backgroundColor;
  const [red, green, blue] = ground.match(/\\d+/g).map(Number);
  return (red + green + blue) / 765;
}"""


@pytest.mark.usefixtures("chat")
def test_on_a_phone_a_message_is_read_without_scrolling_sideways(log_in: Open) -> None:
    admin = log_in("viewer", **SCREENS["phone"])
    admin.goto("/admin/chat/message/")
    row = admin.locator("#result_list tbody tr").first
    for column in ("time", "channel_name", "sender", "excerpt", "reacted", "expiry"):
        expect(row.locator(f".field-{column}")).to_be_visible()
        box = row.locator(f".field-{column}").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 375

"""On a phone: one window at a time, a tab for each, room for fingers."""

import re
from typing import Any

from playwright.async_api import expect

from tests.browser.chat import Chat
from tests.browser.conftest import Open

PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 667},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
FINGER = 44  # px


async def test_one_window_at_a_time_with_a_tab_for_each(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    jim, pam = tabs(chat)
    await expect(chat.jim.root).to_be_visible()
    await expect(chat.pam.root).to_be_hidden()
    await expect(jim).to_have_attribute("aria-selected", "true")
    await expect(chat.page.get_by_role("tabpanel", name="Jim")).to_be_visible()
    await pam.tap()
    await expect(chat.page.get_by_role("tabpanel", name="Pam")).to_be_visible()
    await expect(chat.jim.root).to_be_hidden()
    await expect(jim).to_have_attribute("aria-selected", "false")


def tabs(chat: Chat) -> tuple[Any, Any]:
    return chat.page.get_by_role("tab", name="Jim"), chat.page.get_by_role("tab", name="Pam")


async def test_two_people_chat_and_what_is_unseen_is_counted(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    jim, pam = tabs(chat)
    for text in ("one", "two"):
        await chat.jim.say(text)
    await expect(pam).to_have_accessible_name("Pam 2 unread")
    await expect(jim).to_have_accessible_name("Jim")
    await pam.tap()
    await expect(pam).to_have_accessible_name("Pam")
    await chat.pam.shows("one", "two")
    await chat.pam.say("three")
    await expect(jim).to_have_accessible_name("Jim 1 unread")
    await jim.tap()
    await chat.jim.shows("one", "two", "three")
    await expect(chat.jim.message("three")).to_be_in_viewport()


async def test_history_does_not_count_as_unseen(open_chat: Open, chat: Chat) -> None:
    await chat.jim.say("old")
    await chat.pam.shows("old")
    phone = await open_chat(chat.session, **PHONE)
    await expect(tabs(phone)[1]).to_have_accessible_name("Pam")


async def test_tabs_are_moved_between_by_keys(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    jim, pam = tabs(chat)
    await jim.focus()
    for key, tab in (("ArrowRight", pam), ("ArrowRight", jim), ("End", pam), ("Home", jim)):
        await chat.page.keyboard.press(key)
        await expect(tab).to_be_focused()
        await expect(tab).to_have_attribute("aria-selected", "true")
    await expect(pam).to_have_attribute("tabindex", "-1")


async def test_turning_to_a_wide_window_shows_both(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await chat.page.set_viewport_size({"width": 900, "height": 700})
    await expect(chat.page.get_by_role("region", name="Jim")).to_be_visible()
    await expect(chat.page.get_by_role("region", name="Pam")).to_be_visible()
    await expect(chat.page.get_by_role("tablist")).to_be_hidden()


async def test_all_that_is_touched_has_44_px(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await chat.jim.say("hello")
    await chat.jim.shows("hello")
    await chat.jim.message("hello").locator(".bubble").tap()
    await chat.jim.picker.get_by_label("React with heart").tap()
    await expect(chat.jim.chips("hello")).to_have_count(1)
    await chat.jim.message("hello").locator(".bubble").tap()
    await expect(chat.jim.picker).to_be_visible()
    for element in await chat.page.locator("button:visible, textarea:visible").all():
        # As laid out: the picker may still be growing.
        size = await element.evaluate("(each) => Math.min(each.offsetWidth, each.offsetHeight)")
        assert size >= FINGER, await element.inner_html()


async def test_nothing_is_wider_than_the_page(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await chat.jim.say("w" * 300)
    await expect(chat.jim.bubbles).to_have_count(1)
    assert await chat.page.evaluate("document.documentElement.scrollWidth") == 375


async def test_the_composer_is_large_enough_not_to_zoom(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await expect(chat.jim.composer).to_have_css("font-size", "16px")


async def test_the_header_leaves_room(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    bar = await chat.page.locator(".bar").bounding_box()
    assert bar is not None
    assert bar["height"] <= 60


LITTLE_ROOM = {
    "a small phone": (320, 568, 100),
    "a phone on its side": (740, 360, 100),
    "large text": (375, 667, 200),
    "large text on its side": (740, 360, 200),
    "a large page, zoomed": (640, 400, 100),
}


async def test_the_composer_is_always_in_sight(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    for text in ("one", "two\n" * 30):
        await chat.jim.say(text)
    for name, (width, height, text_size) in LITTLE_ROOM.items():
        await chat.page.set_viewport_size({"width": width, "height": height})
        await chat.page.evaluate(f"document.documentElement.style.fontSize = '{text_size}%'")
        for element in (chat.jim.composer, chat.jim.send_button):
            await expect(element, name).to_be_in_viewport(ratio=1)
        await expect(chat.jim.scroller, name).to_be_in_viewport(ratio=1)
        log = await chat.jim.scroller.bounding_box()
        assert log is not None
        assert log["height"] >= 60, name
        overflow = "document.documentElement.scrollWidth - innerWidth"
        assert await chat.page.evaluate(overflow) <= 0, name


async def test_the_composer_is_above_a_keyboard_that_covers_the_page(open_chat: Open) -> None:
    """As iOS does it: the page keeps its size, and less of it is seen."""
    chat = await open_chat(**PHONE)
    cover = """(height) => {
      Object.defineProperty(visualViewport, "height", { value: height, configurable: true });
      visualViewport.dispatchEvent(new Event("resize"));
    }"""
    await chat.page.evaluate(cover, 380)
    box = await chat.jim.composer.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 380
    await chat.page.evaluate(cover, 667)
    box = await chat.jim.composer.bounding_box()
    assert box is not None
    assert box["y"] > 380


async def test_the_tab_of_the_other_person_tells_what_is_new(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    jim, pam = tabs(chat)
    await expect(jim.locator(".tab-line")).to_have_text("Connected")
    await chat.jim.say("the first\nand its second line")
    await expect(pam).to_have_accessible_description("Jim: the first and its second line")
    await chat.jim.composer.fill("m")
    line = pam.locator(".tab-line")
    while await line.text_content() != "Jim is typing…":  # is told at most each 1.5 s
        await chat.jim.composer.press_sequentially("o", delay=20)
    await chat.jim.composer.press("Control+Enter")
    await expect(line).to_have_text(re.compile("^Jim: mo"))
    await expect(pam).to_have_accessible_name("Pam 2 unread")


async def test_return_breaks_the_line_and_the_button_sends(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await expect(chat.jim.composer).to_have_attribute("enterkeyhint", "enter")
    await chat.jim.composer.press_sequentially("one")
    await chat.jim.composer.press("Enter")
    await chat.jim.composer.press_sequentially("two")
    await expect(chat.jim.waiting).to_have_count(0)
    await chat.jim.send_button.tap()
    await expect(chat.jim.bubbles).to_have_count(1)
    assert await chat.jim.bubbles.evaluate("(bubble) => bubble.textContent") == "one\ntwo"


async def test_a_second_tap_closes_the_picker(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await chat.jim.say("hello")
    await chat.jim.shows("hello")
    await expect(chat.jim.waiting).to_have_count(0)
    bubble = chat.jim.message("hello").locator(".bubble")
    await bubble.tap()
    await expect(chat.jim.picker).to_be_visible()
    await bubble.tap()
    await expect(chat.jim.picker).to_be_hidden()
    await bubble.tap()
    await expect(chat.jim.picker).to_be_visible()

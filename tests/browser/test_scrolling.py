"""The log stays at its end while the reader is there, and where the reader is otherwise."""

import pytest_asyncio
from playwright.async_api import expect

from tests.browser.chat import Chat, Window

LINES = "\n".join(f"line {number}" for number in range(60))


@pytest_asyncio.fixture(loop_scope="session")
async def long(chat: Chat) -> Chat:
    """More than a window holds."""
    for text in ("the beginning", LINES):
        await chat.pam.say(text)
        await expect(chat.pam.waiting).to_have_count(0)
    await expect(chat.jim.bubbles).to_have_count(2)
    return chat


async def go_up(window: Window) -> None:
    await window.scroller.hover()
    await window.page.mouse.wheel(0, -5000)
    await expect(window.message("the beginning")).to_be_in_viewport()


async def test_it_follows_what_comes(long: Chat) -> None:
    await long.pam.say("newest")
    await expect(long.jim.message("newest")).to_be_in_viewport()
    await expect(long.jim.newer).to_be_hidden()


async def test_a_reader_further_up_stays_there_and_is_told(long: Chat) -> None:
    await go_up(long.jim)
    for text in ("news one", "news two"):
        await long.pam.say(text)
        await long.jim.message(text).wait_for()
    await expect(long.jim.newer).to_have_text("2 new messages")
    await expect(long.jim.message("the beginning")).to_be_in_viewport()
    await long.jim.newer.click()
    await expect(long.jim.message("news two")).to_be_in_viewport()
    await expect(long.jim.newer).to_be_hidden()


async def test_scrolling_down_has_seen_it(long: Chat) -> None:
    await go_up(long.jim)
    await long.pam.say("news")
    await expect(long.jim.newer).to_have_text("1 new message")
    await long.jim.scroller.hover()
    await long.page.mouse.wheel(0, 9000)
    await expect(long.jim.newer).to_be_hidden()


async def test_whoever_sends_sees_what_they_sent(long: Chat) -> None:
    await go_up(long.jim)
    await long.jim.say("mine")
    await expect(long.jim.message("mine")).to_be_in_viewport()


async def test_a_reaction_does_not_push_the_end_out_of_sight(long: Chat) -> None:
    await long.pam.say("last")
    await long.jim.shows("the beginning", LINES, "last")
    await long.pam.react("last", "👍")
    await expect(long.jim.chips("last")).to_be_in_viewport(ratio=1)


async def test_it_stays_at_the_end_when_the_window_changes(long: Chat) -> None:
    await long.pam.say("last")
    await expect(long.jim.message("last")).to_be_in_viewport()
    for width, height in ((1280, 500), (760, 500), (320, 568), (667, 375), (1280, 900)):
        await long.page.set_viewport_size({"width": width, "height": height})
        await expect(long.jim.message("last")).to_be_in_viewport(ratio=1)


async def test_history_opens_at_its_end(long: Chat) -> None:
    await long.pam.say("last")
    await expect(long.pam.waiting).to_have_count(0)
    await long.page.reload()
    await expect(long.jim.message("last")).to_be_in_viewport()


async def test_it_stays_at_the_end_below_a_banner(long: Chat) -> None:
    await long.pam.say("last")
    await expect(long.jim.message("last")).to_be_in_viewport()
    await long.jim.notice.evaluate("(notice) => { notice.hidden = false; }")
    await expect(long.jim.notice).to_be_visible()
    await expect(long.jim.message("last")).to_be_in_viewport(ratio=1)
    below = "({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight"
    assert await long.jim.scroller.evaluate(below) < 1

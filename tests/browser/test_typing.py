"""Typing is told sparingly, shown in the other window, and gone after 2 s or with the message."""

import itertools
import time

from playwright.async_api import expect

from tests.browser.chat import Chat, socket_of, until


async def test_typing_shows_in_the_other_window_alone(chat: Chat) -> None:
    await chat.jim.composer.press_sequentially("he")
    await expect(chat.pam.typing).to_be_visible()
    await expect(chat.pam.typing).to_have_text("Jim is typing…")
    await expect(chat.jim.typing).to_be_hidden()


async def test_it_is_gone_2_s_after_the_last_sign(chat: Chat) -> None:
    await chat.jim.composer.press_sequentially("h")
    await expect(chat.pam.typing).to_be_visible()
    began = time.monotonic()
    await chat.pam.typing.wait_for(state="hidden")
    assert 1.5 < time.monotonic() - began < 10


async def test_it_is_gone_with_the_message(chat: Chat) -> None:
    await chat.jim.composer.press_sequentially("hello")
    await expect(chat.pam.typing).to_be_visible()
    told = time.monotonic()
    await chat.jim.composer.press("Enter")
    await chat.pam.message("hello").wait_for()
    await chat.pam.typing.wait_for(state="hidden")
    assert time.monotonic() - told < 1.5


async def test_it_is_told_at_most_each_1_5_s(chat: Chat) -> None:
    socket = socket_of(chat, "jim")
    for _ in range(40):
        await chat.jim.composer.press_sequentially("word ", delay=20)
        if len(socket.sent("is-typing")) >= 3:
            break
    times = [at for at, frame in socket.frames if frame["event"] == "is-typing"]
    assert len(times) >= 3
    assert all(later - earlier > 1.4 for earlier, later in itertools.pairwise(times))


async def test_an_emptied_composer_and_enter_tell_nothing(chat: Chat) -> None:
    await chat.jim.composer.press("Space")
    await chat.jim.composer.press("Backspace")
    await chat.jim.composer.press("Enter")
    await chat.jim.composer.press("Shift+Enter")
    socket = socket_of(chat, "jim")
    await chat.jim.composer.press_sequentially("now")
    await until(lambda: socket.sent("is-typing"))
    assert len(socket.sent("is-typing")) == 1


async def test_a_new_line_alone_tells_nothing(chat: Chat) -> None:
    await chat.jim.composer.fill("a draft")
    await chat.page.reload()
    await chat.until_live()
    await chat.jim.composer.press("Shift+Enter")
    await chat.jim.composer.press("Enter")
    await chat.pam.shows("a draft")
    assert socket_of(chat, "jim").sent("is-typing") == []


async def test_its_room_is_always_kept(chat: Chat) -> None:
    before = await chat.pam.scroller.bounding_box()
    await chat.jim.composer.press_sequentially("h")
    await expect(chat.pam.typing).to_be_visible()
    assert await chat.pam.scroller.bounding_box() == before


async def test_it_is_never_stored(chat: Chat) -> None:
    await chat.jim.composer.press_sequentially("h")
    await expect(chat.pam.typing).to_be_visible()
    await chat.page.reload()
    await chat.until_live()
    await expect(chat.pam.typing).to_be_hidden()
    await expect(chat.pam.bubbles).to_have_count(0)

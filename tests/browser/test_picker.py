"""The picker stays beside the message that its reactions go to, whatever else moves."""

from playwright.async_api import expect

from tests.browser.chat import Chat, Window
from tests.browser.conftest import Open


async def test_it_follows_its_message_when_others_arrive(open_chat: Open, chat: Chat) -> None:
    reader = await open_chat(chat.session)
    await at_first_message(reader, chat)
    for text in ("second", "third", "fourth"):
        await chat.pam.say(text)
    await reader.jim.shows("first", "second", "third", "fourth")
    await is_beside(reader.jim, "first")


async def test_it_follows_its_message_when_the_window_changes(open_chat: Open, chat: Chat) -> None:
    reader = await open_chat(chat.session)
    await at_first_message(reader, chat)
    await reader.page.set_viewport_size({"width": 800, "height": 500})
    await is_beside(reader.jim, "first")
    scroller = reader.jim.scroller
    assert await scroller.evaluate("(it) => it.scrollHeight === it.clientHeight")


async def test_it_stands_beside_a_tall_bubble_and_not_on_it(chat: Chat) -> None:
    await chat.pam.say("\n".join(["a line that is as long as a bubble is wide, and more"] * 40))
    for window in (chat.jim, chat.pam):
        await expect(window.bubbles).to_have_count(1)
        await expect(window.waiting).to_have_count(0)
        bubble = window.bubbles.first
        await bubble.click(position={"x": 20, "y": 20})
        await expect(window.picker).to_be_visible()
        boxes = [await each.bounding_box() for each in (bubble, window.picker)]
        (left, right), (start, end) = [(at["x"], at["x"] + at["width"]) for at in boxes if at]
        assert end <= left or start >= right


async def at_first_message(reader: Chat, chat: Chat) -> None:
    await chat.pam.say("first")
    await reader.jim.shows("first")
    await reader.jim.composer.focus()
    await reader.page.keyboard.press("Shift+Tab")
    await is_beside(reader.jim, "first")


async def is_beside(window: Window, text: str) -> None:
    async def middles() -> list[float]:
        bubble = window.message(text).locator(".bubble")
        boxes = [await each.bounding_box() for each in (bubble, window.picker)]
        return [box["y"] + box["height"] / 2 for box in boxes if box]

    for _ in range(100):
        found = await middles()
        if len(found) == 2 and abs(found[0] - found[1]) < 20:
            return
        await window.page.evaluate("new Promise(requestAnimationFrame)")
    raise AssertionError(f"the picker is not beside {text!r}: {found}")

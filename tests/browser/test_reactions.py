"""Four reactions, one active a person and message, changed by the server's word alone."""

import json

import pytest_asyncio
from playwright.async_api import Locator, WebSocketRoute, expect

from tests.browser.chat import Chat, Window, socket_of, until
from tests.browser.conftest import Open

REACTIONS = ["❤️", "👍", "👎", "😂"]


@pytest_asyncio.fixture(loop_scope="session")
async def told(chat: Chat) -> Chat:
    """A chat in which Pam has said something."""
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    return chat


async def test_there_are_four(told: Chat) -> None:
    await told.jim.message("hello").hover()
    await expect(told.jim.picker.get_by_role("button")).to_have_text(REACTIONS)


async def test_a_reaction_shows_in_both_windows(told: Chat) -> None:
    for reaction in REACTIONS:  # each replaces the one before
        await told.jim.react("hello", reaction)
        for window, pressed in ((told.pam, "false"), (told.jim, "true")):
            await expect(window.chips("hello")).to_have_text([f"{reaction}1"])
            await expect(window.chips("hello")).to_have_attribute("aria-pressed", pressed)
            await expect(window.chips("hello")).to_have_attribute("title", "Jim")


async def test_who_reacted_is_told_and_counted(told: Chat) -> None:
    await told.jim.react("hello", "👍")
    alone = told.pam.message("hello").get_by_role("button", name="Thumbs up, 1: Jim")
    await expect(alone).to_have_text("👍1")
    await told.pam.react("hello", "👍")
    for window in (told.jim, told.pam):
        chip = window.message("hello").get_by_role("button", name="Thumbs up, 2: Jim and Pam")
        await expect(chip).to_have_text("👍2")
        await expect(chip).to_have_attribute("title", "Jim and Pam")


async def test_another_reaction_replaces_the_first_which_goes_before_it(told: Chat) -> None:
    await told.jim.react("hello", "👍")
    await expect(told.jim.chips("hello")).to_have_text(["👍1"])
    await told.jim.react("hello", "❤️")
    for window in (told.jim, told.pam):
        await expect(window.chips("hello")).to_have_text(["❤️1"])
    sent = socket_of(told, "jim").sent("hotsock.messageReaction")
    steps = [(frame["data"]["action"], frame["data"]["reaction"]) for frame in sent]
    assert steps == [("add", "👍"), ("remove", "👍"), ("add", "❤️")]


async def test_quick_clicks_leave_one_reaction(told: Chat) -> None:
    await told.jim.message("hello").click()
    buttons = told.jim.picker.locator("button")
    await buttons.evaluate_all(
        "async (buttons) => { for (const button of buttons) {"
        " button.closest('.content').querySelector('.bubble').click(); button.click(); } }"
    )
    await expect(told.pam.chips("hello")).to_have_text(["😂1"])
    await expect(told.jim.chips("hello")).to_have_text(["😂1"])


async def test_the_same_again_takes_it_back(told: Chat) -> None:
    await told.jim.react("hello", "👍")
    await expect(told.pam.chips("hello")).to_have_count(1)
    await told.jim.chips("hello").click()
    for window in (told.jim, told.pam):
        await expect(window.chips("hello")).to_have_count(0)


async def test_reactions_survive_a_reload(told: Chat) -> None:
    await told.jim.react("hello", "😂")
    await told.pam.react("hello", "❤️")
    await expect(told.jim.chips("hello")).to_have_text(["😂1", "❤️1"])
    await told.page.reload()
    await told.until_live()
    await expect(told.jim.chips("hello")).to_have_text(["😂1", "❤️1"])
    states = "(chips) => chips.map((chip) => chip.getAttribute('aria-pressed'))"
    assert await told.jim.chips("hello").evaluate_all(states) == ["true", "false"]


async def test_only_the_echo_changes_what_is_shown(open_chat: Open) -> None:
    chat = await open_chat(live=False)
    held: list[str] = []
    await chat.page.route_web_socket("**/v1**", lambda route: hold_reactions(route, held))
    await chat.page.reload()
    await chat.until_live()
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    await chat.jim.react("hello", "👍")
    await until(lambda: len(held) == 2)  # the server has told both
    await expect(chat.jim.chips("hello")).to_have_count(0)


def hold_reactions(route: WebSocketRoute, held: list[str]) -> None:
    server = route.connect_to_server()

    def pass_on(frame: str | bytes) -> None:
        text = str(frame)
        if json.loads(text)["event"].startswith("hotsock.messageReaction"):
            held.append(text)
        else:
            route.send(text)

    server.on_message(pass_on)


async def test_the_picker_opens_with_the_pointer_and_closes_when_it_leaves(told: Chat) -> None:
    await told.jim.message("hello").hover()
    await expect(told.jim.picker).to_be_visible()
    await told.page.mouse.move(2, 2)
    await expect(told.jim.picker).to_be_hidden()


async def test_the_picker_is_reached_and_left_by_keyboard(told: Chat) -> None:
    await told.pam.say("second")
    await told.jim.shows("hello", "second")
    await told.jim.composer.focus()
    await told.page.keyboard.press("Shift+Tab")
    await expect(told.jim.message("second")).to_be_focused()
    await expect(told.jim.picker).to_be_visible()
    await told.page.keyboard.press("ArrowUp")
    await expect(told.jim.message("hello")).to_be_focused()
    await told.page.keyboard.press("Enter")
    await told.page.keyboard.press("ArrowRight")
    await expect(told.jim.picker.get_by_label("React with thumbs up")).to_be_focused()
    await told.page.keyboard.press("Enter")
    await expect(told.pam.chips("hello")).to_have_text(["👍1"])
    await expect(told.jim.picker).to_be_hidden()
    await expect(told.jim.message("hello")).to_be_focused()


async def test_escape_closes_the_picker(told: Chat) -> None:
    await told.jim.message("hello").click()
    await expect(told.jim.picker).to_be_visible()
    await told.page.keyboard.press("Tab")
    await told.page.keyboard.press("Escape")
    await expect(told.jim.picker).to_be_hidden()
    await expect(told.jim.message("hello")).to_be_focused()


async def test_a_finger_opens_the_picker_by_tap_and_by_long_press(open_chat: Open) -> None:
    chat = await open_chat(has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    await chat.jim.say("touch me")
    await chat.jim.shows("touch me")
    bubble = chat.jim.message("touch me").locator(".bubble")
    await bubble.tap()
    await expect(chat.jim.picker).to_be_visible()
    await chat.jim.composer.tap()
    await expect(chat.jim.picker).to_be_hidden()
    await bubble.dispatch_event("pointerdown", {"pointerType": "touch", "bubbles": True})
    await expect(chat.jim.picker).to_be_visible()
    await chat.jim.picker.get_by_label("React with heart").tap()
    await expect(chat.jim.chips("touch me")).to_have_text(["❤️1"])


async def test_the_picker_stays_within_the_window(told: Chat) -> None:
    for window, text in ((told.jim, "w" * 300), (told.pam, "v" * 300)):
        await window.say(text)
        await expect(window.waiting).to_have_count(0)
    for window in (told.jim, told.pam):
        for text in ("hello", "w" * 300, "v" * 300):
            await window.message(text).locator(".bubble").hover()
            await picker_is_within(window)


async def test_the_picker_of_a_message_taller_than_its_window_is_in_sight(told: Chat) -> None:
    await told.jim.say("\n".join(["tall"] * 60))
    for window in (told.jim, told.pam):
        await expect(window.bubbles).to_have_count(2)
        await expect(window.waiting).to_have_count(0)
        bubble = await box_of(window.bubbles.last)
        frame = await box_of(window.scroller)
        await told.page.mouse.move(bubble["x"] + 20, frame["y"] + frame["height"] - 40)
        await picker_is_within(window)


async def picker_is_within(window: Window) -> None:
    await expect(window.picker).to_be_visible()
    frame, pill = await box_of(window.scroller), await box_of(window.picker)
    for start, length in (("x", "width"), ("y", "height")):
        assert frame[start] <= pill[start]
        assert pill[start] + pill[length] <= frame[start] + frame[length]


async def box_of(element: Locator) -> dict[str, float]:
    box = await element.bounding_box()
    assert box is not None
    return dict(box)

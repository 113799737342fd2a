"""The drawer "Look inside": frames, the token, what it forbids, and being offline."""

import json
import re

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chat import Chat, Window, socket_of, until
from tests.browser.conftest import Open
from tests.browser.test_phone import FINGER, PHONE


def button(window: Window) -> Locator:
    return window.root.get_by_role("button", name=f"Look inside {window.name}’s window")


def drawer(window: Window) -> Locator:
    return window.root.get_by_role("dialog", name=f"Inside {window.name}’s window")


async def look(window: Window, tab: str = "Frames") -> Locator:
    """Opens the drawer; returns its panel of that name."""
    await button(window).click()
    await drawer(window).get_by_role("tab", name=tab).click()
    return drawer(window).get_by_role("tabpanel", name=tab)


def lines(panel: Locator, *texts: str) -> Locator:
    """The lines shown that have these texts."""
    found = panel.locator("li:visible")
    for text in texts:
        found = found.filter(has_text=text)
    return found


async def test_a_button_opens_it_and_escape_gives_the_focus_back(chat: Chat) -> None:
    await expect(button(chat.jim)).to_have_attribute("aria-expanded", "false")
    await button(chat.jim).press("Enter")
    await expect(drawer(chat.jim).get_by_role("tab", name="Frames")).to_be_focused()
    await expect(button(chat.jim)).to_have_attribute("aria-expanded", "true")
    await chat.page.keyboard.press("ArrowRight")
    await expect(drawer(chat.jim).get_by_role("tabpanel", name="Token")).to_be_visible()
    await chat.page.keyboard.press("Escape")
    await expect(drawer(chat.jim)).to_be_hidden()
    await expect(button(chat.jim)).to_be_focused()
    await expect(button(chat.jim)).to_have_attribute("aria-expanded", "false")


async def test_it_is_loaded_when_it_is_first_opened(chat: Chat) -> None:
    def loaded() -> set[str]:
        names = ("inside-drawer", "inside.css")
        return {name for name in names for each in chat.calls if name in each.url}

    assert loaded() == set()
    await look(chat.jim)
    assert len(loaded()) == 2


async def test_where_it_cannot_be_loaded_that_is_told(open_chat: Open) -> None:
    chat = await open_chat(expecting=("net::ERR_FAILED",))
    await chat.page.route("**/inside-drawer*", lambda route: route.abort())
    await button(chat.jim).click()
    await expect(chat.toast).to_contain_text("could not be loaded")


async def test_every_frame_is_there_with_its_size_and_meaning_from_the_start(chat: Chat) -> None:
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    panel = await look(chat.jim)
    for texts in (
        ("Received", "hotsock.connected", "The server takes the connection"),
        ("Sent", "hotsock.subscribe", "Wants to hear of this channel"),
        ("Received", "hotsock.subscribed", "Hears of this channel from now on"),
        ("Sent", "chat", "Publishes “hello”"),
        ("Received", "chat", "A message of jim, number 1: “hello”"),
    ):
        line = lines(panel, *texts).first
        await expect(line).to_be_visible()
        size, time = (line.locator(f".frame-{name}") for name in ("size", "time"))
        await expect(size).to_have_text(re.compile(r"^\d+ B$"))
        await expect(time).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))


async def test_a_frame_opens_and_its_secrets_are_masked(chat: Chat) -> None:
    panel = await look(chat.jim)
    line = lines(panel, "hotsock.connected")
    await line.locator("summary").click()
    await expect(line.locator("pre")).to_contain_text("connectionSecret")
    frame = json.loads(await line.locator("pre").inner_text())
    assert frame["data"]["connectionSecret"] == "•••"
    assert frame["data"]["connectionId"]
    token = socket_of(chat, "jim").url.partition("token=")[2]
    whole = await chat.page.content()
    assert not [part for part in token.split(".") if part in whole]


async def test_a_frame_that_comes_is_shown_and_not_announced(chat: Chat) -> None:
    panel = await look(chat.jim)
    await chat.pam.say("hello")
    await expect(lines(panel, "A message of pam")).to_be_visible()
    live = "[aria-live], [role=log], [role=status], [role=alert]"
    assert (
        await panel.locator(".inside-list").evaluate(
            "(list, live) => list.closest(live) ?? list.querySelector(live)", live
        )
        is None
    )


async def test_frames_are_filtered_by_direction_event_and_text(chat: Chat) -> None:
    for text in ("one", "two"):
        await chat.jim.say(text)
    await chat.pam.shows("one", "two")
    panel = await look(chat.jim)
    chats = lines(panel, "chat").filter(has_text=re.compile("one|two"))
    await expect(chats.filter(has_text="Received")).not_to_have_count(0)
    await panel.get_by_label("Direction").select_option("Out")
    await expect(lines(panel, "Received")).to_have_count(0)
    await panel.get_by_label("Event").select_option("chat")
    await expect(lines(panel)).to_have_count(2)
    await panel.get_by_label("Text").fill("TWO")
    await expect(lines(panel)).to_have_count(1)
    await expect(lines(panel)).to_contain_text("two")
    await chat.jim.say("twofold")
    await expect(lines(panel)).to_have_count(2)  # what comes later is filtered, too
    await expect(panel.locator(".inside-count")).to_contain_text("2 of")


async def test_pings_are_shown_to_who_asks_for_them(chat: Chat) -> None:
    panel = await look(chat.jim)
    await panel.get_by_label("Event").select_option("All events")
    await expect(lines(panel, "hotsock.pong", "still there").first).to_be_visible()
    await panel.get_by_label("Event").select_option("All but pings")
    await expect(lines(panel, "hotsock.pong")).to_have_count(0)


async def test_what_comes_during_a_pause_is_shown_after_it(chat: Chat) -> None:
    panel = await look(chat.jim)
    pause = panel.get_by_role("button", name="Pause")
    await pause.click()
    await expect(pause).to_have_attribute("aria-pressed", "true")
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    await expect(lines(panel, "hello")).to_have_count(0)
    await pause.click()
    await expect(lines(panel, "hello")).to_have_count(1)


SAY_MANY = """(area, count) => { for (let n = 0; n < count; n += 1) {
  area.value = `number ${n}`;
  area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
} }"""


async def test_who_has_scrolled_up_reads_on_undisturbed_and_500_lines_are_kept(chat: Chat) -> None:
    panel = await look(chat.jim)
    for _ in range(3):  # as many as a client sends at once
        await chat.pam.composer.evaluate(SAY_MANY, 170)
        await expect(chat.pam.waiting).to_have_count(0)
    await expect(panel.locator("li")).to_have_count(500)
    scroller = panel.locator(".inside-scroller")
    at_end = "(each) => each.scrollHeight - each.scrollTop - each.clientHeight < 2"
    assert await scroller.evaluate(at_end)
    middle = panel.locator("li").nth(400)
    await middle.scroll_into_view_if_needed()
    await middle.evaluate("(item) => { item.dataset.mine = ''; }")
    mine = panel.locator("[data-mine]")
    before = await mine.bounding_box()
    await chat.pam.say("one more")
    await expect(lines(panel, "one more")).to_have_count(1)
    await expect(panel.locator("li")).to_have_count(500)
    after = await mine.bounding_box()
    assert before
    assert after
    assert abs(after["y"] - before["y"]) < 1


async def test_lines_are_reached_by_one_tab_and_the_arrow_keys(chat: Chat) -> None:
    panel = await look(chat.jim)
    await panel.get_by_role("button", name="Pause").focus()
    await chat.page.keyboard.press("Tab")
    last = panel.locator("li:visible summary").last
    await expect(last).to_be_focused()
    await chat.page.keyboard.press("Home")
    await expect(panel.locator("li:visible summary").first).to_be_focused()
    await chat.page.keyboard.press("Enter")
    await expect(panel.locator("details[open]")).to_have_count(1)
    await chat.page.keyboard.press("Shift+Tab")
    await expect(panel.get_by_role("button", name="Pause")).to_be_focused()


async def test_the_token_is_told_in_words_without_its_signature(chat: Chat) -> None:
    panel = await look(chat.jim, "Token")
    channel = f'the channel "chat-{chat.session}"'
    for words in (
        "It may be used to open a connection.",
        'Its bearer is "jim".',
        f"It may read the whole history of {channel}.",
        f'What it publishes as the event "chat" on {channel} is kept for 1 day.',
        f'It may react to the event "chat" on {channel} with "❤️", "👍", "👎", "😂".',
        f'It may publish the event "is-typing" on {channel} while it is subscribed.',
    ):
        await expect(panel.get_by_text(words, exact=True)).to_be_visible()
    signature = socket_of(chat, "jim").url.partition("token=")[2].split(".")[2]
    assert signature not in await chat.page.content()


@pytest.mark.parametrize(
    ("trial", "code"),
    [
        ("Publish another event", "PUBLISH_PERMISSION_DENIED"),
        ("Publish in another chat", "PUBLISH_PERMISSION_DENIED"),
        ("Listen to another chat", "SUBSCRIBE_PERMISSION_DENIED"),
        ("React with", "REACT_PERMISSION_DENIED"),
        ("Store a value", "STORAGE_PERMISSION_DENIED"),
        ("Send more than 32 KiB", "DATA_TOO_LARGE"),
    ],
)
async def test_what_the_token_forbids_is_refused_in_words(
    chat: Chat, trial: str, code: str
) -> None:
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    panel = await look(chat.jim, "Forbidden")
    item = panel.get_by_role("listitem").filter(has_text=trial)
    await item.get_by_role("button").click()
    await expect(item.get_by_role("status")).to_contain_text(code)
    await expect(item.get_by_role("status")).to_contain_text("Refused: ")
    await drawer(chat.jim).get_by_role("tab", name="Frames").click()
    frames = drawer(chat.jim).get_by_role("tabpanel", name="Frames")
    await expect(lines(frames, "hotsock.error", code)).to_have_count(1)
    await chat.pam.say("goes on")
    await chat.jim.shows("hello", "goes on")
    await expect(chat.toast).to_be_empty()


async def test_it_is_not_tried_faster_than_once_a_second(chat: Chat) -> None:
    panel = await look(chat.jim, "Forbidden")
    first = panel.get_by_role("button").first
    await first.evaluate("(button) => { for (let n = 0; n < 50; n += 1) button.click(); }")
    await expect(panel.get_by_role("status").first).to_contain_text("Refused: ")
    await expect(first).to_have_attribute("aria-disabled", "true")
    await first.evaluate("(button) => { for (let n = 0; n < 50; n += 1) button.click(); }")
    await expect(first).to_have_attribute("aria-disabled", "false")
    assert len(socket_of(chat, "jim").sent("announcement")) == 1


async def test_offline_it_stays_until_switched_back_and_then_catches_up(chat: Chat) -> None:
    await chat.pam.say("before")
    await chat.jim.shows("before")
    panel = await look(chat.jim)
    await drawer(chat.jim).get_by_role("button", name="Go offline").click()
    await chat.jim.is_said_to_be("Offline")
    await expect(chat.jim.notice).to_contain_text("You switched this window offline.")
    socket = socket_of(chat, "jim")
    await until(lambda: socket.is_closed)
    await chat.page.evaluate("dispatchEvent(new Event('online'))")
    await chat.jim.say("from Jim, later")
    await chat.pam.say("from Pam")
    await expect(lines(panel, "This window closed the connection")).to_have_count(1)
    await chat.pam.shows("before", "from Pam")
    assert socket_of(chat, "jim") is socket
    await drawer(chat.jim).get_by_role("button", name="Go online").click()
    await chat.until_live()
    await chat.jim.shows("before", "from Pam", "from Jim, later")
    await chat.pam.shows("before", "from Pam", "from Jim, later")
    for words in (
        "asks for what changed after number 1.",
        "What was missed follows, in frames: 1.",
        "Missed, 1 of 1: A message of pam, number 2: “from Pam”",
    ):
        await expect(lines(panel, words)).to_have_count(1)
    await expect(chat.jim.notice).to_be_hidden()


async def test_the_banner_goes_online_too(chat: Chat) -> None:
    await look(chat.jim)
    switch = drawer(chat.jim).locator("[data-action=offline]")
    await switch.click()
    await chat.button("New chat")
    await chat.jim.is_said_to_be("Offline")  # a new chat does not change that
    await expect(switch).to_have_text("Go online")
    await chat.jim.notice.get_by_role("button", name="Go online").click()
    await chat.until_live()
    await expect(switch).to_have_text("Go offline")


async def test_on_a_phone_it_is_a_sheet_over_everything(open_chat: Open) -> None:
    chat = await open_chat(**PHONE)
    await button(chat.jim).tap()
    sheet = await drawer(chat.jim).bounding_box()
    assert sheet == {"x": 0, "y": 0, "width": 375, "height": 667}
    close = drawer(chat.jim).get_by_role("button", name="Close")
    for each in (close, drawer(chat.jim).get_by_role("tab", name="Frames")):
        box = await each.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= FINGER
    assert await drawer(chat.jim).evaluate("(dialog) => dialog.matches(':modal')")
    await close.tap()
    await expect(drawer(chat.jim)).to_be_hidden()
    await expect(button(chat.jim)).to_be_focused()


async def test_a_phone_that_is_turned_keeps_it_open(open_chat: Open) -> None:
    chat = await open_chat()
    await look(chat.jim, "Token")
    for width in (375, 1280):
        await chat.page.set_viewport_size({"width": width, "height": 800})
        await chat.page.wait_for_function(
            "(isModal) => document.querySelector('.inside').matches(':modal') === isModal",
            arg=width == 375,
        )
    await expect(drawer(chat.jim).get_by_role("tab", name="Token")).to_be_focused()
    await expect(drawer(chat.jim).get_by_role("tabpanel", name="Token")).to_be_visible()

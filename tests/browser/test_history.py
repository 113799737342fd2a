"""History: read forward page by page, merged with what is live, nothing lost or doubled."""

import asyncio
import itertools
import json
from typing import Any

import pytest_asyncio
from playwright.async_api import Route, expect
from websockets.asyncio.client import connect

from tests.browser.chat import Chat, Window
from tests.browser.conftest import Open
from tests.support.backend import Backend, backend
from tests.support.servers import Server, token

CHAT = {"publish": True, "echo": True, "store": 86400}
BURST = 900  # frames that a connection may send at once
NOTE = {"publish": True, "echo": True, "store": 86400}


async def fill(server: Server, session: str, texts: list[str], event: str = "chat") -> None:
    """Publishes these messages as Pam; all are stored when it returns."""
    channel = f"chat-{session}"
    grants = {"subscribe": True, "messages": {"chat": CHAT, "note": NOTE}}
    connect_token = token(server, uid="pam", channels={channel: grants})
    for burst in itertools.batched(texts, BURST):
        async with connect(f"{server.ws_url}?token={connect_token}") as socket:
            await socket.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}))
            for text in burst:
                await socket.send(json.dumps({"event": event, "channel": channel, "data": text}))
            last: Any = None
            while last != burst[-1]:
                last = json.loads(await asyncio.wait_for(socket.recv(), 20)).get("data")


async def test_history_is_there_after_a_reload(chat: Chat) -> None:
    await chat.jim.say("one")
    await chat.pam.shows("one")
    await chat.pam.say("two")
    await chat.jim.shows("one", "two")
    await chat.page.reload()
    await chat.jim.shows("one", "two")
    await chat.pam.shows("one", "two")


async def test_ten_thousand_messages_open_with_the_newest_fifty(
    open_chat: Open, server: Server
) -> None:
    await fill(server, "long", [f"number {number}" for number in range(10_000)])
    chat = await open_chat("long")
    for window in (chat.jim, chat.pam):
        await expect(window.bubbles).to_have_count(50)
        await expect(window.message("number 9999")).to_be_in_viewport()
    assert len(chat.called("/connection/listMessages")) == 2
    assert await chat.page.evaluate(NODES) <= 3000


NODES = """() => {
  const walker = document.createTreeWalker(document);
  let count = 1;
  while (walker.nextNode()) count += 1;
  return count;
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def long(open_chat: Open, server: Server) -> Chat:
    """Jim's window of a chat with 400 messages."""
    session = f"long-{next(sessions)}"
    await fill(server, session, [f"number {number}" for number in range(400)])
    return await open_chat(session)


sessions = itertools.count()


async def oldest(window: Window) -> int:
    return int((await window.bubbles.first.text_content() or "").split()[-1])


async def go_up(window: Window, to: int) -> None:
    """Until a message with a lower number is in the document."""
    await window.scroller.hover()
    while await oldest(window) > to:
        await window.page.mouse.wheel(0, -400)
        await window.page.evaluate("() => new Promise(requestAnimationFrame)")
    await window.scroller.evaluate(UNTIL_STILL)


# Turns of the wheel may still be on their way.
UNTIL_STILL = """async (scroller) => {
  for (let top = NaN, frames = 0; frames < 20; frames += 1) {
    if (scroller.scrollTop !== top) frames = 0;
    top = scroller.scrollTop;
    await new Promise(requestAnimationFrame);
  }
}"""


async def test_older_messages_come_as_one_scrolls_up_and_newer_ones_on_the_way_back(
    long: Chat,
) -> None:
    """Never more than 150 in a window, in order and without a gap."""
    await go_up(long.jim, 0)
    assert await numbers(long.jim) == list(range(150))
    while not await long.jim.message("number 399").count():
        await long.page.mouse.wheel(0, 400)
        await long.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert await numbers(long.jim) == list(range(250, 400))


async def numbers(window: Window) -> list[int]:
    return [int(text.split()[-1]) for text in await window.bubbles.all_text_contents()]


async def test_nothing_jumps_when_older_messages_come(long: Chat) -> None:
    """What is in sight moves by what was scrolled, and by nothing else."""
    await long.jim.scroller.evaluate("(scroller) => { scroller.scrollTop = 1300; }")
    before = await place(long.jim, "number 370")
    await long.jim.scroller.evaluate("(scroller) => { scroller.scrollTop = 1100; }")
    await expect(long.jim.bubbles).to_have_count(100)
    assert abs(await place(long.jim, "number 370") - before - 200) < 2


async def place(window: Window, text: str) -> float:
    box = await window.message(text).locator(".bubble").bounding_box()
    assert box is not None
    return box["y"]


async def test_a_reader_at_the_very_top_stays_there_when_older_messages_come(long: Chat) -> None:
    await long.watch_shifts()
    await long.jim.scroller.evaluate("(scroller) => { scroller.scrollTop = 0; }")
    await expect(long.jim.bubbles).to_have_count(100)
    await expect(long.jim.message("number 350")).to_be_in_viewport()
    await long.jim.scroller.evaluate(UNTIL_STILL)
    assert await long.shifted() < 0.001


async def test_from_far_up_one_goes_to_the_end_at_once(long: Chat) -> None:
    await go_up(long.jim, 150)
    await expect(long.jim.newer).to_have_text("To the end")
    await long.pam.say("newest")
    await expect(long.jim.newer).to_have_text("1 new message")
    assert await long.jim.message("newest").count() == 0
    await long.jim.newer.click()
    await expect(long.jim.message("newest")).to_be_in_viewport()
    await expect(long.jim.newer).to_be_hidden()
    await long.pam.say("and one more")
    await expect(long.jim.message("and one more")).to_be_in_viewport()


async def test_the_focus_goes_to_a_neighbour_when_its_message_leaves_the_document(
    long: Chat,
) -> None:
    await long.jim.message("number 399").focus()
    await go_up(long.jim, 150)
    assert await long.jim.message("number 399").count() == 0
    await expect(long.jim.log.locator(".message").last).to_be_focused()
    await long.page.keyboard.press("End")
    await expect(long.jim.message("number 399")).to_be_in_viewport()


async def test_older_messages_that_cannot_be_read_say_so(open_chat: Open, server: Server) -> None:
    await fill(server, "half", [f"number {number}" for number in range(80)])
    chat = await open_chat("half", expecting=("status of 400",))
    await chat.page.route("**/connection/listMessages**", lambda route: route.fulfill(status=400))
    await chat.jim.scroller.evaluate("(scroller) => { scroller.scrollTop = 0; }")
    failed = chat.jim.root.get_by_text("Older messages could not be loaded")
    await expect(failed).to_be_visible()
    await chat.page.unroute_all()
    await failed.get_by_role("button", name="Try again").click()
    await expect(chat.jim.bubbles).to_have_count(80)
    await expect(failed).to_be_hidden()


async def test_only_chat_is_shown(open_chat: Open, server: Server) -> None:
    await fill(server, "notes", ["shown"])
    await fill(server, "notes", ["not shown"], event="note")
    chat = await open_chat("notes")
    await chat.jim.say("shown too")
    await chat.pam.shows("shown", "shown too")


async def test_what_arrives_while_history_loads_is_neither_lost_nor_doubled(
    open_chat: Open, server: Server
) -> None:
    """Each window's history waits until more has been said and done than it holds."""
    await fill(server, "while-loading", [f"old {number}" for number in range(20)])
    other = await open_chat("while-loading")
    chat = await open_chat()  # all read: no page of this other chat is asked for any more
    turns, one_at_a_time = itertools.count(), asyncio.Lock()

    async def slow_page(route: Route) -> None:
        async with one_at_a_time:
            response = await route.fetch()  # the page as it is now
            turn = next(turns)
            await other.pam.say(f"live {turn}")
            await other.pam.message(f"live {turn}").wait_for()
            await other.jim.react("old 19", "👍" if turn % 2 else "❤️")
            await route.fulfill(response=response)

    await chat.page.route("**/connection/listMessages**", slow_page)
    await chat.page.goto("about:blank")
    await chat.open("while-loading")
    await chat.until_live()
    said = await other.pam.bubbles.all_text_contents()
    assert len(said) == 22  # a page in each of two windows
    await chat.jim.shows(*said)
    await chat.pam.shows(*said)
    chips = await other.jim.chips("old 19").all_text_contents()
    await expect(chat.jim.chips("old 19")).to_have_text(chips)
    await expect(chat.pam.chips("old 19")).to_have_text(chips)


async def test_history_that_cannot_be_read_says_so_and_can_be_read_again(
    open_chat: Open, server: Server
) -> None:
    await fill(server, "unreadable", ["old"])
    chat = await open_chat(live=False, expecting=("503",))
    await chat.page.route("**/connection/listMessages**", lambda route: route.fulfill(status=503))
    await chat.page.goto("about:blank")
    await chat.open("unreadable")
    failed = chat.jim.root.get_by_text("The messages could not be loaded")
    await expect(failed).to_be_visible()
    await chat.jim.say("new")
    await chat.page.unroute_all()
    await failed.locator("..").locator("..").get_by_role("button", name="Try again").click()
    await chat.jim.shows("old", "new")
    await expect(failed).to_be_hidden()


async def test_loading_is_told_while_it_lasts(open_chat: Open) -> None:
    chat = await open_chat(live=False)
    go_on = asyncio.Event()

    async def wait(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await chat.page.route("**/connection/listMessages**", wait)
    await chat.page.reload()
    await chat.jim.is_said_to_be("Connected")
    await expect(chat.jim.root.get_by_text("Loading the messages…")).to_be_visible()
    await expect(chat.jim.log).to_have_attribute("aria-busy", "true")
    go_on.set()
    await expect(chat.jim.root.get_by_text("No messages yet")).to_be_visible()


async def test_a_deleted_message_goes_from_all_windows_and_its_neighbour_has_the_focus(
    chat: Chat, server: Server
) -> None:
    channel = f"chat-{chat.session}"
    async with backend(server) as application:
        ids = [await publish(application, channel, text) for text in ("one", "two", "three")]
        await chat.pam.react("two", "👍")
        await chat.jim.message("two").focus()
        deleted = await application.call("DELETE", f"/channels/{channel}/messages/{ids[1]}")
        assert deleted.status == 204
    for window in (chat.jim, chat.pam):
        await window.shows("one", "three")
    await expect(chat.jim.message("three")).to_be_focused()
    await expect(chat.jim.log.locator(".chip")).to_have_count(0)


async def publish(application: Backend, channel: str, text: str) -> str:
    fields = {"data": text, "store": 600, "eagerIdGeneration": True}
    return str((await application.published(channel, **fields))["id"])

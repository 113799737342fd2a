"""History: read forward page by page, merged with what is live, nothing lost or doubled."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from playwright.async_api import Route, expect
from websockets.asyncio.client import connect

from tests.browser.chat import Chat
from tests.browser.conftest import Open
from tests.support.servers import Server, token

CHAT = {"publish": True, "echo": True, "store": 86400}
NOTE = {"publish": True, "echo": True, "store": 86400}


async def fill(server: Server, session: str, texts: list[str], event: str = "chat") -> None:
    """Publishes these messages as Pam; all are stored when it returns."""
    channel = f"chat-{session}"
    grants = {"subscribe": True, "messages": {"chat": CHAT, "note": NOTE}}
    connect_token = token(server, uid="pam", channels={channel: grants})
    async with connect(f"{server.ws_url}?token={connect_token}") as socket:
        await socket.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}))
        for text in texts:
            await socket.send(json.dumps({"event": event, "channel": channel, "data": text}))
        last: Any = None
        while last != texts[-1]:
            last = json.loads(await asyncio.wait_for(socket.recv(), 20)).get("data")


async def test_history_is_there_after_a_reload(chat: Chat) -> None:
    await chat.jim.say("one")
    await chat.pam.shows("one")
    await chat.pam.say("two")
    await chat.jim.shows("one", "two")
    await chat.page.reload()
    await chat.jim.shows("one", "two")
    await chat.pam.shows("one", "two")


@pytest.mark.parametrize("count", [100, 230])
async def test_all_pages_are_read_in_order(open_chat: Open, server: Server, count: int) -> None:
    session = f"pages-{count}"
    texts = [f"number {number}" for number in range(count)]
    await fill(server, session, texts)
    chat = await open_chat(session)
    await chat.jim.shows(*texts)
    await chat.pam.shows(*texts)
    bodies = chat.called("/connection/listMessages")
    assert len(bodies) == 2 * (count // 100 + 1)
    assert all(body["expandReactions"] is True for body in bodies)
    assert sum("after" in body for body in bodies) == 2 * (count // 100)


async def test_only_chat_is_shown(open_chat: Open, server: Server) -> None:
    await fill(server, "notes", ["shown"])
    await fill(server, "notes", ["not shown"], event="note")
    chat = await open_chat("notes")
    await chat.jim.say("shown too")
    await chat.pam.shows("shown", "shown too")


async def test_a_thousand_messages_are_shown_quickly(open_chat: Open, server: Server) -> None:
    """By the page with a hundred, on this machine as it is now."""
    took = {}
    for count in (100, 1000):
        await fill(server, f"shown-{count}", [f"number {number}" for number in range(count)])
        chat = await open_chat(f"shown-{count}", live=False)
        await expect(chat.jim.bubbles).to_have_count(count)
        await expect(chat.pam.bubbles).to_have_count(count)
        took[count] = await chat.page.evaluate("performance.now()")  # since it was asked for
    assert took[1000] < 8 * took[100]
    await expect(chat.jim.message("number 999")).to_be_in_viewport()


async def test_what_arrives_while_history_loads_is_neither_lost_nor_doubled(
    open_chat: Open, server: Server
) -> None:
    """Each page of history waits until more has been said and done than it holds."""
    await fill(server, "while-loading", [f"old {number}" for number in range(120)])
    other = await open_chat("while-loading")
    chat = await open_chat()  # all read: no page of this other chat is asked for any more
    turns, one_at_a_time = itertools.count(), asyncio.Lock()

    async def slow_page(route: Route) -> None:
        async with one_at_a_time:
            response = await route.fetch()  # the page as it is now
            turn = next(turns)
            await other.pam.say(f"live {turn}")
            await other.pam.message(f"live {turn}").wait_for()
            await other.jim.react("old 0" if turn % 2 else "old 119", "👍")
            await route.fulfill(response=response)

    await chat.page.route("**/connection/listMessages**", slow_page)
    await chat.page.goto("about:blank")
    await chat.open("while-loading")
    await chat.until_live()
    said = await other.pam.bubbles.all_text_contents()
    assert len(said) == 124  # two pages in each of two windows
    await chat.jim.shows(*said)
    await chat.pam.shows(*said)
    for text in ("old 0", "old 119"):
        count = await other.jim.chips(text).count()
        await expect(chat.jim.chips(text)).to_have_count(count)
        await expect(chat.pam.chips(text)).to_have_count(count)


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
    await expect(chat.jim.message("new")).to_be_visible()
    await chat.page.unroute_all()
    await chat.jim.root.get_by_role("button", name="Try again").click()
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


async def test_loading_is_told_above_what_arrives_meanwhile(
    open_chat: Open, server: Server
) -> None:
    await fill(server, "still-loading", ["old"])
    other = await open_chat("still-loading")
    chat = await open_chat(live=False)
    go_on = asyncio.Event()

    async def wait(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await chat.page.route("**/connection/listMessages**", wait)
    await chat.page.goto("about:blank")
    await chat.open("still-loading")
    await chat.jim.is_said_to_be("Connected")
    await other.pam.say("live")
    await chat.jim.shows("live")
    loading = chat.jim.root.get_by_text("Loading the messages…")
    await expect(loading).to_be_in_viewport()
    above, below = await loading.bounding_box(), await chat.jim.message("live").bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]
    go_on.set()
    await chat.jim.shows("old", "live")
    await expect(loading).to_be_hidden()

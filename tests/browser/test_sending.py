"""What one sends stands where it stays, at once; only what takes long is told."""

import asyncio
import json
from collections.abc import Callable

import pytest_asyncio
from playwright.async_api import WebSocketRoute, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Open

# Enter for each of the texts, as fast as a page can be told.
TYPE_ALL = """(area, texts) => { for (const text of texts) {
  area.value = text;
  area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
} }"""


@pytest_asyncio.fixture(loop_scope="session")
async def held(open_chat: Open) -> tuple[Chat, asyncio.Event]:
    """What the server says after the subscribing arrives when the event is set."""
    chat = await open_chat(live=False)
    go_on = asyncio.Event()
    await chat.page.route_web_socket("**/v1**", hold_messages(go_on))
    await chat.page.reload()
    await chat.until_live()
    return chat, go_on


def hold_messages(go_on: asyncio.Event) -> Callable[[WebSocketRoute], None]:
    def route_socket(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        async def pass_on(frame: str | bytes) -> None:
            if json.loads(frame)["event"] in ("chat", "hotsock.ack"):
                await go_on.wait()
            route.send(frame)

        server.on_message(pass_on)

    return route_socket


async def test_a_message_stands_at_once_and_nothing_changes_its_place(
    held: tuple[Chat, asyncio.Event],
) -> None:
    chat, go_on = held
    await chat.jim.say("hello")
    await expect(chat.jim.waiting.locator(".bubble")).to_have_text("hello")
    await chat.jim.waiting.evaluate("(element) => { element.isTheSame = true; }")
    before = await chat.jim.message("hello").bounding_box()
    go_on.set()
    await chat.pam.shows("hello")
    await expect(chat.jim.waiting).to_have_count(0)
    assert await chat.jim.message("hello").evaluate("(element) => element.isTheSame")
    assert await chat.jim.message("hello").bounding_box() == before


async def test_twenty_quick_messages_look_like_twenty_messages(
    held: tuple[Chat, asyncio.Event],
) -> None:
    chat, go_on = held
    texts = [f"number {number}" for number in range(20)]
    await chat.watch_shifts()
    await chat.jim.composer.evaluate(TYPE_ALL, texts)
    await expect(chat.jim.waiting).to_have_count(20)
    go_on.set()
    await chat.pam.shows(*texts)
    await expect(chat.jim.waiting).to_have_count(0)
    await chat.jim.shows(*texts)
    assert await chat.shifted() <= 0.01


async def test_what_is_on_its_way_is_not_announced_as_a_problem(
    held: tuple[Chat, asyncio.Event],
) -> None:
    chat, _ = held
    await chat.jim.say("hello")
    words = chat.jim.waiting.locator(".fate-words")
    await expect(words).to_have_text("Not sent yet")
    await expect(words).to_have_attribute("role", "none")
    await expect(chat.jim.waiting.get_by_role("button")).to_have_count(0)

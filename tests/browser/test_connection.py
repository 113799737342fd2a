"""What does not work is told in words, with a way on; nothing written is lost or doubled."""

import asyncio
import json
import re
from collections.abc import Callable

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from tests.browser.chat import Chat, uid_in, until
from tests.browser.conftest import Open
from tests.support.servers import Server

# What the browser itself writes about a server that is away; nothing of it is the page's.
AWAY = ("net::ERR_", "WebSocket connection to", "status of 401", "status of 503")


async def test_the_state_is_one_word(chat: Chat) -> None:
    await chat.jim.is_said_to_be("Connected")
    await chat.pam.is_said_to_be("Connected")
    await expect(chat.jim.notice).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "cannot be reached"),
        (500, "problem (error 500)"),
        (404, "does not offer the demo"),
        (429, "busy"),
    ],
)
async def test_failing_tokens_are_told_and_can_be_tried_again(
    open_chat: Open, status: int | None, words: str
) -> None:
    chat = await open_chat(live=False, expecting=("net::ERR_FAILED", f"status of {status}"))
    await chat.page.goto("about:blank")

    async def fail(route: Route) -> None:
        await (route.fulfill(status=status) if status else route.abort())

    await chat.page.route("**/tokens", fail)
    await chat.page.add_init_script("Math.random = () => 1e6")  # it waits for the button alone
    await chat.open()
    for window in (chat.jim, chat.pam):
        await window.is_said_to_be("Offline")
        await expect(window.notice).to_contain_text(words)
        await expect(window.notice).to_contain_text("Trying again…")
    await chat.page.unroute_all(behavior="wait")
    await chat.jim.notice.get_by_role("button", name="Try again").click()
    await chat.until_live()
    await chat.jim.say("there we are")
    await chat.pam.shows("there we are")


async def test_without_a_session_the_page_tries_again_by_itself_and_keeps_what_is_written(
    open_chat: Open,
) -> None:
    """The server makes the session only after the first words are written."""
    chat = await open_chat(live=False, expecting=("net::ERR_FAILED",))
    await chat.page.goto("about:blank")
    await chat.page.route("**/tokens", lambda route: route.abort())
    await chat.open()
    await chat.jim.is_said_to_be("Offline")
    await chat.jim.say("typed too early")
    await expect(chat.jim.root.get_by_role("alert")).to_contain_text("once the chat is open")
    await expect(chat.jim.composer).to_have_value("typed too early")
    await chat.pam.composer.fill("a draft")
    await chat.page.reload()
    await expect(chat.jim.composer).to_have_value("typed too early")
    await chat.page.unroute_all(behavior="wait")
    await chat.until_live()
    await expect(chat.jim.notice).to_be_hidden()
    await expect(chat.jim.root.locator(".problem")).to_be_empty()
    await expect(chat.pam.composer).to_have_value("a draft")
    await chat.jim.composer.press("Enter")
    await chat.pam.shows("typed too early")
    await chat.page.reload()
    await chat.until_live()
    await expect(chat.pam.composer).to_have_value("a draft")
    await expect(chat.jim.composer).to_have_value("")
    await chat.button("New chat")
    await expect(chat.pam.composer).to_have_value("")


async def test_a_draft_written_while_a_chat_cannot_be_opened_is_for_that_chat(
    open_chat: Open,
) -> None:
    chat = await open_chat(expecting=("net::ERR_FAILED",))
    first = chat.session
    await chat.jim.composer.fill("for the first")
    await chat.page.route("**/tokens", lambda route: route.abort())
    await chat.page.evaluate("location.hash = 'another-chat'")
    await chat.jim.is_said_to_be("Offline")
    await expect(chat.jim.composer).to_have_value("")
    await chat.jim.composer.fill("for the other")
    await chat.page.unroute_all(behavior="wait")
    await chat.until_live()
    assert chat.session == "another-chat"
    await expect(chat.jim.composer).to_have_value("for the other")
    await chat.page.go_back()
    await chat.until_live()
    assert chat.session == first
    await expect(chat.jim.composer).to_have_value("for the first")


async def test_an_answer_that_makes_no_sense_is_told(open_chat: Open) -> None:
    chat = await open_chat(live=False)
    await chat.page.route("**/tokens", lambda route: route.fulfill(body="<h1>Welcome</h1>"))
    await chat.page.reload()
    await expect(chat.jim.notice).to_contain_text("makes no sense")


async def test_a_refused_token_is_told_and_can_be_tried_again(open_chat: Open) -> None:
    chat = await open_chat(live=False, expecting=AWAY)

    async def spoil(route: Route) -> None:
        answer = await (await route.fetch()).text()
        await route.fulfill(body=re.sub(r'[\w-]{6}"}', 'AAAAAA"}', answer))

    await chat.page.route("**/tokens", spoil)
    await chat.page.reload()
    await chat.jim.is_said_to_be("Offline")
    await expect(chat.jim.notice).to_contain_text("did not accept the connection")
    await chat.jim.say("written meanwhile")
    await expect(chat.jim.waiting).to_contain_text("Not sent yet")
    await chat.page.unroute_all(behavior="wait")
    await try_again(chat)
    await chat.until_live()
    await chat.pam.shows("written meanwhile")


async def test_nothing_is_lost_or_doubled_over_a_restart(
    open_chat: Open, own_server: Server
) -> None:
    chat = await open_chat(at=own_server, expecting=AWAY)
    await chat.jim.say("before")
    await chat.pam.shows("before")
    await asyncio.to_thread(own_server.stop)
    await expect(chat.jim.notice).to_be_visible()
    await chat.jim.say("sent while it is down")
    await chat.pam.say("so is this")
    await chat.jim.composer.fill("a draft")
    await expect(chat.jim.waiting).to_contain_text("Not sent yet")
    await asyncio.to_thread(own_server.restart)
    await try_again(chat)
    await chat.until_live()
    await expect(chat.jim.waiting).to_have_count(0)
    await expect(chat.pam.waiting).to_have_count(0)
    await chat.jim.say("after")
    await chat.pam.message("after").wait_for()
    said = await chat.pam.bubbles.all_text_contents()
    assert sorted(said) == ["after", "before", "sent while it is down", "so is this"]
    await chat.jim.shows(*said)
    await chat.page.reload()
    await chat.jim.shows(*said)
    await chat.pam.shows(*said)


async def try_again(chat: Chat) -> None:
    """Does not wait for the next try, in a window that has not come back already."""
    await chat.page.locator(".notice:not([hidden]) button").evaluate_all(
        "(buttons) => buttons.forEach((button) => button.click())"
    )


async def test_a_kill_in_the_middle_of_a_burst_loses_and_doubles_nothing(
    open_chat: Open, own_server: Server
) -> None:
    chat = await open_chat(at=own_server, expecting=AWAY)
    texts = [f"number {number}" for number in range(140)]
    await chat.jim.composer.evaluate(
        "(area, texts) => { for (const text of texts) { area.value = text;"
        " area.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true })); } }",
        texts,
    )
    await chat.pam.message("number 3").wait_for()
    own_server.kill()
    await expect(chat.jim.notice).to_be_visible()
    await asyncio.to_thread(own_server.restart)
    await try_again(chat)
    await expect(chat.jim.waiting).to_have_count(0)
    await chat.jim.shows(*texts)
    await chat.pam.shows(*texts)
    await chat.page.reload()
    await chat.pam.shows(*texts[-50:])


async def test_what_others_did_meanwhile_is_caught_up_with(open_chat: Open) -> None:
    """Jim's and Pam's sockets are cut while another browser goes on."""
    other = await open_chat()
    sockets: list[WebSocketRoute] = []
    chat = await open_chat(live=False)
    await chat.page.route_web_socket("**/v1**", lambda route: sockets.append(connected(route)))
    await chat.page.goto("about:blank")
    await chat.open(other.session)
    await chat.until_live()
    await other.pam.say("first")
    await chat.jim.shows("first")
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await chat.page.route("**/tokens", hold)
    for socket in sockets:
        await socket.close(code=1012)
    await chat.jim.is_said_to_be("Reconnecting")
    await expect(chat.jim.notice).to_contain_text("connection was lost")
    await other.jim.say("second")
    await other.pam.shows("first", "second")
    await other.jim.react("first", "❤️")
    await expect(other.pam.chips("first")).to_have_count(1)
    held.set()
    await chat.jim.shows("first", "second")
    await chat.pam.shows("first", "second")
    await expect(chat.jim.chips("first")).to_have_text(["❤️1"])


async def test_the_banner_pushes_the_messages_down_and_shifts_no_layout(open_chat: Open) -> None:
    chat = await open_chat(live=False)
    sockets: list[WebSocketRoute] = []
    await chat.page.route_web_socket("**/v1**", lambda route: sockets.append(connected(route)))
    await chat.page.reload()
    await chat.until_live()
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    await chat.watch_shifts()
    before = await chat.pam.bubbles.bounding_box()
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await chat.page.route("**/tokens", hold)
    for socket in sockets:
        await socket.close(code=1012)
    await expect(chat.pam.notice).to_be_visible()
    await chat.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    banner, after = [await each.bounding_box() for each in (chat.pam.notice, chat.pam.bubbles)]
    assert before
    assert banner
    assert after
    assert after["y"] == before["y"] + banner["height"]
    held.set()
    await chat.until_live()
    await expect(chat.pam.notice).to_be_hidden()
    assert await chat.shifted() < 0.001


def connected(route: WebSocketRoute) -> WebSocketRoute:
    route.connect_to_server()
    return route


async def test_a_message_that_was_stored_before_the_connection_broke_is_not_sent_twice(
    open_chat: Open,
) -> None:
    """The server gets the message, and the connection breaks before its echo is here."""
    chat = await open_chat(live=False)
    await chat.page.route_web_socket("**/v1**", break_before_the_echo([]))
    await chat.page.reload()
    await chat.until_live()
    await chat.jim.say("once")
    await chat.pam.message("once").wait_for()
    await chat.jim.message("once").wait_for()
    await expect(chat.jim.waiting).to_have_count(0)
    await chat.jim.say("and then")
    await chat.pam.shows("once", "and then")
    await chat.jim.shows("once", "and then")


def break_before_the_echo(broken: list[str]) -> Callable[[WebSocketRoute], None]:
    """The first echo never reaches its sender, whose connection ends."""

    def route_socket(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        async def pass_on(frame: str | bytes) -> None:
            said = json.loads(frame)
            is_echo = said.get("data") == "once" and said["meta"]["uid"] == uid_in(route.url)
            if broken or not is_echo:
                return route.send(frame)
            broken.append(route.url)
            await route.close(code=1012)

        server.on_message(pass_on)

    return route_socket


async def test_a_message_that_the_connection_swallowed_goes_out_again(open_chat: Open) -> None:
    chat = await open_chat(live=False)
    await chat.page.route_web_socket("**/v1**", swallow_once([]))
    await chat.page.reload()
    await chat.until_live()
    await chat.jim.say("swallowed")
    await chat.pam.shows("swallowed")
    await chat.jim.shows("swallowed")
    await expect(chat.jim.waiting).to_have_count(0)


def swallow_once(swallowed: list[str]) -> Callable[[WebSocketRoute], None]:
    """The first chat message never reaches the server, and its connection ends."""

    def route_socket(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        async def pass_on(frame: str | bytes) -> None:
            if '"chat"' not in str(frame) or swallowed:
                return server.send(frame)
            swallowed.append(str(frame))
            await server.close()
            await route.close(code=1012)

        route.on_message(pass_on)

    return route_socket


async def test_a_refused_message_says_why_and_can_be_sent_again_or_discarded(
    open_chat: Open,
) -> None:
    chat = await open_chat(live=False)
    await chat.page.route_web_socket("**/v1**", refuse_once(["try me", "drop me"]))
    await chat.page.reload()
    await chat.until_live()
    for text in ("try me", "drop me"):
        await chat.jim.say(text)
        await expect(chat.jim.waiting.filter(has_text=text)).to_contain_text("could not store")
    await chat.page.reload()  # what failed survives that, too
    await chat.until_live()
    failed = chat.jim.waiting.filter(has_text="try me")
    await failed.get_by_role("button", name="Try again").click()
    await chat.pam.shows("try me")
    await chat.jim.waiting.get_by_role("button", name="Discard").click()
    await expect(chat.jim.waiting).to_have_count(0)
    await chat.jim.shows("try me")


def refuse_once(texts: list[str]) -> Callable[[WebSocketRoute], None]:
    """The server says no, once to each of these messages."""
    refused: set[str] = set()

    def route_socket(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            said = json.loads(frame)
            text = said.get("data")
            if said["event"] != "chat" or text not in texts or text in refused:
                return server.send(frame)
            refused.add(text)
            error = {"code": "SERVICE_UNAVAILABLE", "message": "Not now.", "event": "chat"}
            error["ack"] = said["ack"]
            route.send(json.dumps({"event": "hotsock.error", "error": error}))

        route.on_message(pass_on)

    return route_socket


async def test_what_waits_survives_a_reload(open_chat: Open, own_server: Server) -> None:
    chat = await open_chat(at=own_server, expecting=AWAY)
    await asyncio.to_thread(own_server.stop)
    await expect(chat.jim.notice).to_be_visible()
    await chat.jim.say("patience")
    await expect(chat.jim.waiting).to_contain_text("Not sent yet")
    await asyncio.to_thread(own_server.restart)
    await chat.page.reload()
    await chat.pam.shows("patience")
    await expect(chat.jim.waiting).to_have_count(0)


async def test_what_waits_in_a_duplicated_tab_goes_out_once(open_chat: Open) -> None:
    """A page that opens another gives it a copy of its tab's storage, as a browser's menu does."""
    chat = await open_chat(live=False, expecting=AWAY)
    sockets: list[WebSocketRoute] = []
    await chat.page.route_web_socket("**/v1**", lambda route: sockets.append(connected(route)))
    await chat.page.reload()
    await chat.until_live()
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    await expect(chat.pam.waiting).to_have_count(0)  # confirmed: it would be offered once more
    await chat.page.route("**/tokens", lambda route: route.abort())
    for socket in sockets:
        await socket.close(code=1012)
    await chat.jim.say("patience")
    await expect(chat.jim.waiting).to_contain_text("Not sent yet")
    async with chat.page.expect_popup() as popup:
        await chat.page.evaluate("window.open(location.href) && null")
    copy = Chat(await popup.value, chat.url)
    await copy.until_live()
    await expect(copy.jim.waiting).to_contain_text("Another tab may be sending this")
    await copy.jim.shows("hello", "patience")
    await chat.page.unroute_all(behavior="wait")
    await try_again(chat)
    await chat.until_live()
    for page in (chat, copy):
        await expect(page.jim.waiting).to_have_count(0)
        await page.pam.shows("hello", "patience")


async def test_a_device_without_a_network_is_told_as_offline(open_chat: Open) -> None:
    chat = await open_chat(live=False, expecting=AWAY)
    sockets: list[WebSocketRoute] = []
    await chat.page.route_web_socket("**/v1**", lambda route: sockets.append(connected(route)))
    await chat.page.reload()
    await chat.until_live()
    await chat.page.context.set_offline(True)
    for socket in sockets:
        await socket.close(code=1012)
    await chat.jim.is_said_to_be("Offline")
    await expect(chat.jim.notice).to_contain_text("This device is offline")
    await chat.jim.say("from the tunnel")
    await expect(chat.jim.waiting).to_contain_text("Not sent yet")
    await chat.page.context.set_offline(False)
    await chat.until_live()
    await chat.pam.shows("from the tunnel")


async def test_a_reaction_while_away_is_told_to_wait(open_chat: Open, own_server: Server) -> None:
    chat = await open_chat(at=own_server, expecting=AWAY)
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    await asyncio.to_thread(own_server.stop)
    await expect(chat.jim.notice).to_be_visible()
    await chat.jim.react("hello", "👍")
    await expect(chat.toast).to_contain_text("once connected")


async def test_new_chat_without_a_server_stays_where_it_is(
    open_chat: Open, own_server: Server
) -> None:
    chat = await open_chat(at=own_server, expecting=AWAY)
    await chat.pam.say("hello")
    await chat.jim.shows("hello")
    session = chat.session
    await asyncio.to_thread(own_server.stop)
    await chat.button("New chat")
    await expect(chat.toast).to_contain_text(re.compile("No new chat: .*cannot be reached"))
    assert chat.session == session
    await chat.jim.shows("hello")


async def test_leaving_a_chat_closes_its_connections(chat: Chat) -> None:
    await chat.button("New chat")
    await chat.until_live()
    await until(lambda: [socket.is_closed for socket in chat.sockets] == [True, True, False, False])

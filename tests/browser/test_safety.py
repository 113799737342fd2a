"""What the page may load and run, and what it never tells."""

from playwright.async_api import ConsoleMessage, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Open
from tests.support.servers import Server


async def test_the_policy_allows_the_page_its_own_files_alone(chat: Chat) -> None:
    response = await chat.page.request.get(chat.url)
    policy = {
        name: set(sources)
        for name, *sources in (
            part.split() for part in response.headers["content-security-policy"].split(";")
        )
    }
    assert policy["default-src"] == {"'none'"}
    for directive in ("script-src", "style-src", "connect-src"):
        assert policy[directive] == {"'self'"}


async def test_the_page_has_no_inline_script_or_style(chat: Chat) -> None:
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    html = await (await chat.page.request.get(chat.url)).text()
    assert " style=" not in html
    assert "<style" not in html
    assert " on" not in html.replace(" one", "").replace(" once", "").replace(" on ", "")
    assert html.count("<script") == html.count('<script type="module" src="/static/') == 1


async def test_an_injected_script_does_not_run(open_chat: Open) -> None:
    chat = await open_chat(expecting=("Content Security Policy",))
    await chat.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " { textContent: 'window.injected = true' }))"
    )
    assert await chat.page.evaluate("window.injected") is None


async def test_the_console_is_told_nothing(open_chat: Open) -> None:
    chat = await open_chat(live=False)
    told: list[ConsoleMessage] = []
    chat.page.on("console", lambda message: told.append(message))
    await chat.page.reload()
    await chat.until_live()
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    await chat.pam.react("hello", "👍")
    await expect(chat.jim.chips("hello")).to_have_count(1)
    assert told == []


async def test_the_server_logs_no_token_or_secret(chat: Chat, server: Server) -> None:
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    log = server.log.read_text()
    tokens = [socket.url.partition("token=")[2] for socket in chat.sockets]
    assert tokens
    assert not any(token in log for token in tokens)
    assert "connectionSecret" not in log


async def test_nothing_is_asked_of_other_servers(chat: Chat) -> None:
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    assert {call.url for call in chat.calls if not call.url.startswith(chat.url)} == set()


async def test_without_javascript_the_page_says_what_it_needs(chat: Chat) -> None:
    html = await (await chat.page.request.get(chat.url)).text()
    said = html.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "This page needs JavaScript" in said

"""Which chat the page is in: the address, then the browser's memory, then the server."""

from playwright.async_api import Page, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Open

KEY = "hotsock-chat-session"


async def kept(page: Page) -> str:
    return str(await page.evaluate(f"localStorage.getItem({KEY!r})"))


async def test_the_server_makes_a_session_which_is_kept_twice(chat: Chat) -> None:
    assert chat.called("/tokens")[0] == {"uid": "jim"}
    assert len(chat.session) >= 16
    assert await kept(chat.page) == chat.session
    await expect(chat.page.locator(".session code")).to_have_text(chat.session)


async def test_a_returning_visitor_finds_the_same_chat(chat: Chat) -> None:
    await chat.jim.say("remember me")
    await chat.pam.shows("remember me")
    session = chat.session
    await chat.page.goto("about:blank")
    await chat.page.goto(chat.url)
    await chat.until_live()
    assert chat.session == session
    await chat.jim.shows("remember me")


async def test_the_hash_comes_before_what_the_browser_kept(open_chat: Open) -> None:
    chat = await open_chat("first-session")
    await chat.page.goto("about:blank")
    await chat.open("second-session")
    await chat.until_live()
    assert chat.session == await kept(chat.page) == "second-session"
    assert chat.called("/tokens")[-1]["sessionId"] == "second-session"


async def test_a_shared_link_opens_the_same_chat_elsewhere(open_chat: Open, chat: Chat) -> None:
    await chat.jim.say("before you came")
    await chat.pam.shows("before you came")
    await chat.pam.react("before you came", "👍")
    await expect(chat.jim.chips("before you came")).to_have_count(1)
    other = await open_chat(chat.session)
    await other.jim.shows("before you came")
    await expect(other.jim.chips("before you came")).to_have_text(["👍1"])
    await other.pam.say("hello from elsewhere")
    await chat.jim.shows("before you came", "hello from elsewhere")
    await chat.pam.shows("before you came", "hello from elsewhere")
    await chat.jim.react("hello from elsewhere", "😂")
    await expect(other.pam.chips("hello from elsewhere")).to_have_text(["😂1"])
    await other.jim.composer.press_sequentially("h")
    await expect(chat.pam.typing).to_have_text("Jim is typing…")


async def test_pasting_another_link_moves_the_page_there(open_chat: Open, chat: Chat) -> None:
    await chat.jim.say("in the first")
    await chat.pam.shows("in the first")
    other = await open_chat()
    await other.jim.say("in the other")
    await other.pam.shows("in the other")
    await chat.page.evaluate("(session) => { location.hash = session }", other.session)
    await chat.pam.shows("in the other")
    await chat.until_live()
    assert await kept(chat.page) == other.session
    await chat.pam.say("moved")
    await other.jim.shows("in the other", "moved")


async def test_while_there_is_no_session_the_page_names_and_links_none(open_chat: Open) -> None:
    chat = await open_chat(expecting=("net::ERR_FAILED",))
    named = chat.page.locator(".session")
    await expect(named).to_contain_text(chat.session)
    await chat.page.route("**/tokens", lambda route: route.abort())
    await chat.page.evaluate("location.hash = 'another-chat'")
    await chat.jim.is_said_to_be("Offline")
    await expect(named).to_be_hidden()
    await chat.button("Copy link")
    await expect(chat.toast).to_contain_text("no chat to link to")
    await chat.page.unroute_all(behavior="wait")
    await expect(named).to_contain_text("another-chat")


async def test_an_emptied_hash_stays_in_the_chat(chat: Chat) -> None:
    session, sockets = chat.session, len(chat.sockets)
    await chat.page.evaluate("location.hash = ''")
    await chat.page.wait_for_url(f"**/#{session}")
    await chat.jim.say("still here")
    await chat.pam.shows("still here")
    assert len(chat.sockets) == sockets


async def test_a_link_that_is_none_leads_to_a_new_chat_and_says_so(open_chat: Open) -> None:
    chat = await open_chat("no such session!")
    await expect(chat.toast).to_contain_text("link was not valid")
    assert chat.session == await kept(chat.page)
    assert "such" not in chat.session
    await chat.jim.say("all the same")
    await chat.pam.shows("all the same")


async def test_what_it_says_is_in_the_way_of_no_button(open_chat: Open) -> None:
    chat = await open_chat("no such id", viewport={"width": 375, "height": 667})
    await expect(chat.toast).to_contain_text("not valid")
    await chat.page.get_by_role("button", name="New chat").click(timeout=5000)  # it stays for 8 s
    await expect(chat.toast).to_contain_text("This is a new chat")


async def test_a_good_link_is_not_complained_about(chat: Chat) -> None:
    await expect(chat.toast).to_be_empty()


async def test_new_chat_begins_anew_and_back_leads_back(chat: Chat) -> None:
    await chat.jim.say("old")
    await chat.pam.shows("old")
    old = chat.session
    await chat.button("New chat")
    await expect(chat.page.get_by_text("No messages yet")).to_have_count(2)
    await expect(chat.toast).to_contain_text("new chat")
    await chat.until_live()
    assert chat.session != old
    assert await kept(chat.page) == chat.session
    await chat.pam.say("new")
    await chat.jim.shows("new")
    await chat.page.go_back()
    await chat.jim.shows("old")
    assert chat.session == old


async def test_copy_link_copies_this_address(open_chat: Open) -> None:
    chat = await open_chat(allow=["clipboard-read", "clipboard-write"])
    await chat.button("Copy link")
    await expect(chat.toast).to_contain_text("copied")
    assert await chat.page.evaluate("navigator.clipboard.readText()") == chat.page.url


async def test_copy_link_works_without_the_clipboard_interface(open_chat: Open) -> None:
    chat = await open_chat(allow=["clipboard-read", "clipboard-write"])
    await chat.page.evaluate(
        "Object.defineProperty(Object.getPrototypeOf(navigator.clipboard), 'writeText',"
        " { value: () => Promise.reject(new DOMException('no', 'NotAllowedError')) })"
    )
    await chat.button("Copy link")
    await expect(chat.toast).to_contain_text("copied")
    assert await chat.page.evaluate("navigator.clipboard.readText()") == chat.page.url


async def test_copy_link_says_where_the_link_is_when_nothing_can_copy(open_chat: Open) -> None:
    chat = await open_chat()
    await chat.page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
        " document.execCommand = () => false"
    )
    await chat.button("Copy link")
    await expect(chat.toast).to_contain_text("this page’s address")


async def test_how_it_works_is_told_on_the_page(chat: Chat) -> None:
    await chat.button("How it works")
    dialog = chat.page.get_by_role("dialog", name="How it works")
    await expect(dialog).to_contain_text("its own WebSocket")
    await chat.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await chat.button("How it works")
    await dialog.get_by_role("button", name="Close").click()
    await expect(dialog).to_be_hidden()

"""What was not seen is counted in the title and below the log, and has a line above it."""

from playwright.async_api import expect

from tests.browser.chat import Chat
from tests.browser.conftest import Open

TITLE = "Real-time chat: Jim and Pam"
# The reader is in another tab of the browser, or comes back.
LOOK = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_what_comes_while_the_page_is_hidden_is_counted_in_its_title(chat: Chat) -> None:
    await chat.pam.say("seen")
    await chat.jim.shows("seen")
    await expect(chat.page).to_have_title(TITLE)
    await chat.page.evaluate(LOOK, True)
    for count, text in enumerate(("one", "two"), 1):
        await chat.pam.say(text)
        await expect(chat.page).to_have_title(f"({count}) {TITLE}")
    await chat.page.evaluate(LOOK, False)
    await expect(chat.page).to_have_title(TITLE)


async def test_a_line_stands_above_what_was_unread_until_one_writes(chat: Chat) -> None:
    await chat.pam.say("seen")
    await chat.jim.shows("seen")
    await chat.page.evaluate(LOOK, True)
    for text in ("one", "two"):
        await chat.pam.say(text)
        await chat.jim.message(text).wait_for()
    await chat.page.evaluate(LOOK, False)
    items = chat.jim.log.locator(".messages > li")
    await expect(items).to_have_count(4)
    await expect(items.nth(1)).to_have_text("New messages")
    await expect(chat.pam.log.locator(".unread")).to_have_count(0)  # they are hers
    await chat.jim.say("answer")
    await chat.jim.shows("seen", "one", "two", "answer")
    await expect(chat.jim.log.locator(".unread")).to_have_count(0)


async def test_what_was_there_before_is_not_unread(open_chat: Open, chat: Chat) -> None:
    await chat.pam.say("old")
    await chat.jim.shows("old")
    other = await open_chat(chat.session)
    await other.jim.shows("old")
    await expect(other.page).to_have_title(TITLE)
    await expect(other.jim.log.locator(".unread")).to_have_count(0)

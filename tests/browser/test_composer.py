"""Writing: what sends, what does not, and that nothing typed is ever lost."""

import re

from playwright.async_api import expect

from tests.browser.chat import Chat

KIB_32 = 32 * 1024


async def test_enter_sends_and_empties_the_composer(chat: Chat) -> None:
    await chat.jim.composer.fill("with Enter")
    await chat.jim.composer.press("Enter")
    await chat.pam.shows("with Enter")
    await expect(chat.jim.composer).to_have_value("")


async def test_the_button_sends_and_gives_the_focus_back(chat: Chat) -> None:
    await chat.jim.composer.fill("with the button")
    await chat.jim.send_button.click()
    await chat.pam.shows("with the button")
    await expect(chat.jim.composer).to_be_focused()


async def test_shift_enter_makes_a_new_line(chat: Chat) -> None:
    await chat.jim.composer.press_sequentially("one")
    await chat.jim.composer.press("Shift+Enter")
    await chat.jim.composer.press_sequentially("two")
    await chat.jim.composer.press("Enter")
    await expect(chat.pam.bubbles).to_have_count(1)
    assert await chat.pam.bubbles.evaluate("(bubble) => bubble.textContent") == "one\ntwo"


async def test_blank_text_is_not_sent_and_other_text_is_trimmed(chat: Chat) -> None:
    for blank in ("", "   ", " \n "):
        await chat.jim.say(blank)
    await chat.jim.say("  \n text \n ")
    await expect(chat.pam.bubbles).to_have_count(1)
    assert await chat.pam.bubbles.evaluate("(bubble) => bubble.textContent") == "text"


async def test_several_lines_keep_their_indentation(chat: Chat) -> None:
    await chat.jim.say("\n    if new:\n        show\n")
    await expect(chat.pam.bubbles).to_have_count(1)
    text = await chat.pam.bubbles.evaluate("(bubble) => bubble.textContent")
    assert text == "    if new:\n        show"
    await expect(chat.pam.bubbles).to_have_css("white-space-collapse", "preserve")


async def test_enter_that_ends_a_composition_does_not_send(chat: Chat) -> None:
    await chat.jim.composer.focus()
    browser = await chat.page.context.new_cdp_session(chat.page)
    composed = {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
    await browser.send("Input.imeSetComposition", composed)
    await chat.page.keyboard.press("Enter")
    await expect(chat.jim.composer).to_have_value(re.compile("^にほん"))
    await expect(chat.jim.waiting).to_have_count(0)
    await browser.send("Input.insertText", {"text": "日本"})
    await expect(chat.jim.composer).to_have_value(re.compile("^日本"))
    await chat.page.keyboard.press("Enter")
    await chat.pam.shows("日本")


async def test_a_key_of_an_input_method_does_not_send(chat: Chat) -> None:
    await chat.jim.composer.fill("not yet")
    for fields in ({"isComposing": True}, {"keyCode": 229}):
        await chat.jim.composer.dispatch_event("keydown", {"key": "Enter", **fields})
    await expect(chat.jim.composer).to_have_value("not yet")
    await chat.jim.composer.press("Enter")
    await chat.pam.shows("not yet")


async def test_a_message_over_32_kib_is_refused_with_words_and_stays(chat: Chat) -> None:
    await chat.jim.say("x" * (KIB_32 - 1))
    await expect(chat.jim.root.get_by_role("alert")).to_contain_text("at most 32 KiB")
    assert len(await chat.jim.composer.input_value()) == KIB_32 - 1
    await chat.jim.composer.press("Backspace")
    await expect(chat.jim.root.locator(".problem")).to_be_empty()
    await chat.jim.composer.press("Enter")
    await expect(chat.pam.bubbles).to_have_text(["x" * (KIB_32 - 2)])


async def test_a_draft_survives_a_reload_for_its_person_alone(chat: Chat) -> None:
    await chat.jim.composer.fill("half a thou")
    await chat.page.reload()
    await chat.until_live()
    await expect(chat.jim.composer).to_have_value("half a thou")
    await expect(chat.pam.composer).to_have_value("")
    await chat.jim.composer.press("Enter")
    await chat.pam.shows("half a thou")
    await chat.page.reload()
    await chat.until_live()
    await expect(chat.jim.composer).to_have_value("")


async def test_a_draft_stays_with_its_chat(chat: Chat) -> None:
    first = chat.session
    await chat.jim.composer.fill("about the first chat")
    await chat.button("New chat")
    await expect(chat.jim.composer).to_have_value("")
    await chat.until_live()
    assert chat.session != first
    await chat.page.go_back()
    await expect(chat.jim.composer).to_have_value("about the first chat")


async def test_many_messages_in_a_row_keep_their_order(chat: Chat) -> None:
    texts = [f"number {count}" for count in range(30)]
    for text in texts:
        await chat.jim.say(text)
    await chat.pam.shows(*texts)
    await chat.jim.shows(*texts)
    await expect(chat.jim.waiting).to_have_count(0)

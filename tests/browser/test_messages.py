"""What is written in one window stands in both: text, sides, times, runs."""

import re

from playwright.async_api import Page, expect

from tests.browser.chat import Chat, Window, uid_in
from tests.browser.conftest import Open
from tests.browser.times import rewrite_times


async def box(window: Window, text: str) -> dict[str, float]:
    found = await window.message(text).locator(".bubble").bounding_box()
    assert found is not None
    return found


async def test_a_message_appears_in_both_windows_at_once(chat: Chat) -> None:
    await chat.jim.say("Hello Pam")
    await chat.pam.shows("Hello Pam")
    await chat.jim.shows("Hello Pam")
    await chat.pam.say("Hello Jim")
    await chat.jim.shows("Hello Pam", "Hello Jim")
    await chat.pam.shows("Hello Pam", "Hello Jim")


async def test_each_window_has_its_own_token_and_socket(chat: Chat) -> None:
    urls = {socket.url for socket in chat.sockets}
    assert len(chat.sockets) == len(urls) == 2
    assert {uid_in(url) for url in urls} == {"jim", "pam"}
    assert len(chat.called("/tokens")) == 1


async def test_own_messages_stand_right_others_left(chat: Chat) -> None:
    await chat.jim.say("from Jim")
    await chat.pam.say("from Pam")
    await chat.jim.shows("from Jim", "from Pam")
    await chat.pam.shows("from Jim", "from Pam")
    for window, own, other in (
        (chat.jim, "from Jim", "from Pam"),
        (chat.pam, "from Pam", "from Jim"),
    ):
        right, left = await box(window, own), await box(window, other)
        frame = await window.scroller.bounding_box()
        assert frame is not None
        middle = frame["x"] + frame["width"] / 2
        assert left["x"] < middle < right["x"] + right["width"]
        assert right["x"] > left["x"]


async def test_the_time_is_that_of_the_message_id(chat: Chat) -> None:
    before = await chat.page.evaluate("Date.now()")
    await chat.jim.say("what time is it?")
    time = chat.pam.message("what time is it?").locator(".when")
    shown = await time.evaluate("(element) => Date.parse(element.dateTime)")
    assert before - 2000 <= shown <= before + 10_000
    expected = await time.evaluate(
        "(element) => new Date(element.dateTime).toLocaleTimeString(undefined,"
        " {hour: 'numeric', minute: '2-digit'})"
    )
    await expect(time).to_have_text(expected)


async def test_the_exact_time_is_seen_on_hover_and_focus(chat: Chat) -> None:
    for text in ("one", "two"):
        await chat.jim.say(text)
    await chat.pam.shows("one", "two")
    time = chat.pam.message("one").locator(".when")
    await expect(time).to_have_css("opacity", "0")
    await chat.pam.message("one").locator(".bubble").hover()
    await expect(time).to_have_css("opacity", "1")
    await expect(time).to_have_attribute("title", re.compile(r"\d:\d\d:\d\d"))
    await chat.page.mouse.move(2, 2)
    await expect(time).to_have_css("opacity", "0")
    await chat.pam.message("one").focus()
    await expect(time).to_have_css("opacity", "1")


async def test_hours_are_not_padded_in_any_format(open_chat: Open) -> None:
    chat = await open_chat(locale="de-DE", timezone_id="Europe/Berlin")
    words = "(times) => ['clock', 'exact'].map((kind) => times[`${kind}Words`](1e12 + 19 * 36e5))"
    module = f"import('{chat.url}/static/chat/demo/model/times.js')"
    assert await chat.page.evaluate(f"{module}.then({words})") == [
        "22:46",
        "Sonntag, 9. September 2001 um 22:46:40",
    ]
    early = "(times) => times.clockWords(1e12 + 6 * 36e5)"
    assert await chat.page.evaluate(f"{module}.then({early})") == "9:46"


async def test_the_sender_is_named_once_a_run_of_others(chat: Chat) -> None:
    for text in ("one", "two"):
        await chat.jim.say(text)
    await chat.pam.say("three")
    shown = "(lines) => lines.map((line) => line.getBoundingClientRect().height > 2)"
    for window, expected in ((chat.pam, [True, False, False]), (chat.jim, [False, False, True])):
        await window.shows("one", "two", "three")
        assert await window.log.locator(".byline").evaluate_all(shown) == expected
    # A screen reader is told the sender of each.
    await expect(chat.pam.log.locator(".sender")).to_have_text(["Jim", "Jim", "Pam"])


async def test_a_day_and_a_pause_are_told_above_what_follows(chat: Chat) -> None:
    for count in range(6):
        await chat.jim.say(f"number {count}")
        await expect(chat.jim.waiting).to_have_count(0)
    await chat.page.route("**/connection/listMessages**", rewrite_times)
    await chat.page.reload()
    await chat.until_live()
    await expect(chat.pam.bubbles).to_have_count(6)
    lines = chat.pam.log.locator(".since")
    days = [re.compile(r"^\w+day\W.*\d"), re.compile(r"^Yesterday \d"), re.compile(r"^Today \d")]
    pause = re.compile(r"^ ?\d")
    await expect(lines).to_have_text([days[0], pause, days[1], pause, days[2]])


SLACK = """(bubble) => {
  const range = document.createRange();
  range.selectNodeContents(bubble);
  const [outer, inner] = [bubble, range].map((each) => each.getBoundingClientRect().width);
  const { paddingLeft, paddingRight } = getComputedStyle(bubble);
  return outer - inner - parseFloat(paddingLeft) - parseFloat(paddingRight);
}"""


async def test_a_bubble_is_as_wide_as_its_text(chat: Chat) -> None:
    for text in ("i", "a little longer", "and one with words " + "o" * 45 + " that wraps"):
        await chat.jim.say(text)
        await chat.pam.message(text).wait_for()
        for window in (chat.jim, chat.pam):
            assert abs(await window.message(text).locator(".bubble").evaluate(SLACK)) < 2


async def test_a_few_emoji_alone_are_large(chat: Chat) -> None:
    for text in ("🎉👍🏽", "well 🎉"):
        await chat.jim.say(text)
    await chat.pam.shows("🎉👍🏽", "well 🎉")
    size = "(bubbles) => bubbles.map((bubble) => parseFloat(getComputedStyle(bubble).fontSize))"
    large, normal = await chat.pam.bubbles.evaluate_all(size)
    assert large > 2 * normal


async def test_links_lead_where_they_say_and_tell_nobody_from_where(chat: Chat) -> None:
    await chat.jim.say("see https://example.org/a_(b), or javascript:alert(1)")
    for window in (chat.jim, chat.pam):
        links = window.bubbles.locator("a")
        await expect(links).to_have_text(["https://example.org/a_(b)"])
        await expect(links).to_have_attribute("href", "https://example.org/a_(b)")
        await expect(links).to_have_attribute("rel", "noopener noreferrer")
        await expect(links).to_have_attribute("target", "_blank")


TEXTS = [
    "<img src=x onerror=alert(1)><b>bold</b>",
    "</p><script>alert(1)</script>",
    "{{ 1 + 1 }} &amp; &lt;",
    "👩‍👩‍👧‍👦 🏳️‍🌈 ❤️",
    "שלום עולם",
    "line one\n  line two",
]


async def test_text_stays_text(chat: Chat) -> None:
    for count, text in enumerate(TEXTS, 1):
        await chat.jim.say(text)
        for window in (chat.pam, chat.jim):
            await expect(window.bubbles).to_have_count(count)
    for window in (chat.pam, chat.jim):
        shown = "(all) => all.map(({ textContent, children }) => [textContent, children.length])"
        assert await window.bubbles.evaluate_all(shown) == [[text, 0] for text in TEXTS]


async def test_right_to_left_text_runs_right_to_left(chat: Chat) -> None:
    await chat.jim.say("שלום!")
    await expect(chat.pam.bubbles).to_have_attribute("dir", "auto")
    await expect(chat.pam.bubbles).to_have_css("direction", "rtl")


async def test_right_to_left_text_keeps_its_bubble_in_the_shape_of_its_side(chat: Chat) -> None:
    for text in ("before", "שלום!", "after"):
        await chat.jim.say(text)
    await chat.pam.shows("before", "שלום!", "after")
    for window, side, other in ((chat.jim, "right", "left"), (chat.pam, "left", "right")):
        bubble = window.message("שלום!").locator(".bubble")
        for edge in ("top", "bottom"):
            await expect(bubble).to_have_css(f"border-{edge}-{side}-radius", "6px")
            await expect(bubble).to_have_css(f"border-{edge}-{other}-radius", "20px")


async def test_long_words_wrap(chat: Chat) -> None:
    words = ["w" * 400, "https://example.org/" + "a/b-c_d" * 60, "😀" * 300]
    for count, word in enumerate(words, 1):
        await chat.jim.say(word)
        for window in (chat.jim, chat.pam):
            await expect(window.bubbles).to_have_count(count)
            assert await overflow(window) == 0
        assert await page_overflow(chat.page) == 0


async def overflow(window: Window) -> int:
    difference = "(element) => element.scrollWidth - element.clientWidth"
    return int(await window.scroller.evaluate(difference))


async def page_overflow(page: Page) -> int:
    root = "document.documentElement"
    return int(await page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))


async def test_a_window_without_messages_says_so(chat: Chat) -> None:
    await expect(chat.jim.root.get_by_text("No messages yet")).to_be_visible()
    await chat.pam.say("first")
    await chat.jim.shows("first")
    await expect(chat.jim.root.get_by_text("No messages yet")).to_be_hidden()

"""For every reader: by keyboard, by screen reader, in the dark, with less motion."""

import asyncio
import re
from itertools import chain
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Open
from tests.browser.screenshots import lost
from tests.browser.test_inside import look
from tests.browser.test_phone import PHONE

COLOURS = ["color-contrast", "link-in-text-block"]


async def show_in(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Returns once it is shown so: the browser is told before it has drawn."""
    await page.emulate_media(color_scheme=scheme)
    drawn = """scheme => matchMedia(`(prefers-color-scheme: ${scheme})`).matches
        && !document.getAnimations().some((each) => each instanceof CSSTransition)"""
    await page.wait_for_function(drawn, arg=scheme)


async def findings(page: Page) -> list[str]:
    """All of them, in the light; of colours, in the dark, too."""
    found = [await Axe().run(page)]
    await show_in(page, "dark")
    found.append(await Axe().run(page, options={"runOnly": COLOURS}))
    await show_in(page, "light")
    return [
        f"{finding['id']}: {node['html']} {node['failureSummary']}"
        for finding in chain.from_iterable(each.response["violations"] for each in found)
        for node in finding["nodes"]
    ]


async def fill(chat: Chat) -> None:
    """Messages, reactions, typing and an open picker."""
    await chat.jim.say("hello")
    await chat.jim.say("are you there?")
    await chat.jim.shows("hello", "are you there?")
    await chat.jim.message("hello").locator(".bubble").click()
    await chat.jim.picker.get_by_label("React with thumbs up").click()
    await expect(chat.jim.chips("hello")).to_have_count(1)
    await chat.jim.message("are you there?").locator(".bubble").click()
    await expect(chat.jim.picker).to_be_visible()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
async def test_no_finding(open_chat: Open, options: dict[str, Any]) -> None:
    chat = await open_chat(**options)
    assert await findings(chat.page) == []  # empty
    await fill(chat)
    assert await findings(chat.page) == []  # with a picker
    await chat.button("How it works")
    await expect(chat.page.get_by_role("dialog", name="How it works")).to_be_visible()
    assert await findings(chat.page) == []  # with the dialog
    await chat.page.keyboard.press("Escape")
    for tab in ("Frames", "Token", "Forbidden"):
        await look(chat.jim, tab)
        assert await findings(chat.page) == []
        await chat.page.keyboard.press("Escape")


async def test_no_finding_in_what_fails(open_chat: Open) -> None:
    chat = await open_chat(expecting=("net::ERR_FAILED",))
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    await chat.jim.composer.fill("x" * 40_000)
    await chat.jim.composer.press("Enter")
    await expect(chat.jim.root.locator(".problem")).to_be_visible()
    assert await findings(chat.page) == []  # a problem with the text
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.abort()

    await chat.page.route("**/connection/**", hold)
    await chat.page.reload()
    await expect(chat.jim.root.get_by_text("Loading the messages")).to_be_visible()
    assert await findings(chat.page) == []  # loading
    held.set()
    await expect(chat.jim.root.get_by_text("The messages could not be loaded")).to_be_visible()
    assert await findings(chat.page) == []  # no history
    await chat.page.route("**/tokens", lambda route: route.abort())
    await chat.page.reload()
    await chat.jim.is_said_to_be("Offline")
    assert await findings(chat.page) == []  # no server


async def test_no_finding_while_a_message_waits_for_the_connection(open_chat: Open) -> None:
    chat = await open_chat(expecting=("ERR_INTERNET_DISCONNECTED",))
    await lost(chat)
    assert await findings(chat.page) == []


async def test_the_dark_scheme_is_dark(chat: Chat) -> None:
    schemes: list[tuple[Literal["light", "dark"], bool]] = [("light", False), ("dark", True)]
    for scheme, is_dark in schemes:
        await show_in(chat.page, scheme)
        color = await chat.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", color)[:3])) < 200) is is_dark


async def test_the_bar_says_what_this_is_and_names_its_actions(chat: Chat) -> None:
    for width in (320, 375, 700, 879, 880, 1440):
        await chat.page.set_viewport_size({"width": width, "height": 700})
        await bar_is_whole(chat, width)


async def bar_is_whole(chat: Chat, width: int) -> None:
    title = chat.page.get_by_role("heading", name="Real-time chat")
    lead = chat.page.locator(".lead")  # where there is room
    for element in (title, lead)[: 2 if width >= 700 else 1]:
        await expect(element).to_be_in_viewport(ratio=1)
        assert await element.evaluate("(each) => each.scrollWidth <= each.clientWidth")
    for name in ("Copy link", "New chat", "How it works"):
        button = chat.page.get_by_role("button", name=name)
        await expect(button).to_be_in_viewport(ratio=1)
        await expect(button).to_have_attribute("title", name)
        box = await button.bounding_box()
        assert box is not None
        assert (box["width"] == 44) is (width < 880)
    assert await chat.page.evaluate("document.documentElement.scrollWidth") == width


async def test_each_log_has_a_name(chat: Chat) -> None:
    for name in ("Jim", "Pam"):
        log = chat.page.get_by_role("log", name=f"Messages in {name}’s window")
        await expect(log).to_have_count(1)
        await expect(log).to_have_accessible_description(re.compile("arrow keys"))


async def test_everything_is_reached_by_tab_in_the_order_of_reading(chat: Chat) -> None:
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    await chat.jim.react("hello", "👍")
    await expect(chat.pam.chips("hello")).to_have_count(1)
    await start_anew(chat)
    bar = ["Copy link", "New chat", "How it works"]
    header = ["Look inside"]
    log = ["hello", "Thumbs up, 1: Jim", "heart", "thumbs up", "thumbs down", "laughter"]
    jim, pam = (["Message as " + name, "Send as " + name] for name in ("Jim", "Pam"))
    expected = [*bar, *header, *log, *jim, *header, *log, *pam]
    found = [await next_by_tab(chat.page) for _ in expected]
    assert [re.sub(" (Jim|Pam)’s window", "", each) for each in found] == expected


async def start_anew(chat: Chat) -> None:
    """The focus is before everything."""
    await chat.page.mouse.move(2, 2)
    await chat.page.reload()
    await chat.until_live()
    await chat.jim.shows("hello")
    await chat.pam.shows("hello")


async def next_by_tab(page: Page) -> str:
    await page.keyboard.press("Tab")
    return str(
        await page.evaluate(
            "(({ textContent, ariaLabel, labels, classList }) =>"
            " classList.contains('message') ? 'hello' : labels?.[0]?.textContent ?? ariaLabel"
            " ?.replace('React with ', '') ?? textContent.trim())(document.activeElement)"
        )
    )


async def test_what_has_the_focus_is_seen(chat: Chat) -> None:
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    await start_anew(chat)
    for _ in range(19):
        await chat.page.keyboard.press("Tab")
        assert await has_ring(chat.page), await chat.page.evaluate("document.activeElement.id")


async def has_ring(page: Page) -> bool:
    """An outline on it or on its bubble, or around the composer that it is in."""
    return bool(
        await page.evaluate(
            "() => { const at = document.activeElement;"
            " const seen = [at, at.querySelector('.bubble'), at.closest('.composer')];"
            " return seen.filter(Boolean).map((each) => getComputedStyle(each)).some((style) =>"
            " style.outlineStyle === 'solid' || style.boxShadow !== 'none'); }"
        )
    )


async def test_less_motion_means_none(open_chat: Open) -> None:
    chat = await open_chat()
    await chat.jim.composer.press_sequentially("h")
    await expect(chat.pam.typing).to_be_visible()
    lasting = (
        "document.getAnimations().filter("
        "({ effect }) => effect.getComputedTiming().endTime > 1).length"  # ms
    )
    assert await chat.page.evaluate(lasting) == 0
    await chat.page.emulate_media(reduced_motion="no-preference")
    await chat.jim.composer.press_sequentially("h")
    await chat.page.wait_for_function(f"{lasting} > 0")


async def test_typing_and_the_connection_are_told_to_who_listens_and_not_each_time(
    open_chat: Open,
) -> None:
    chat = await open_chat()
    said = chat.pam.root.locator(".announcer")
    await expect(said).to_have_attribute("role", "status")
    await expect(said).to_have_text("Pam: Connected")
    await chat.jim.composer.press_sequentially("h")
    await expect(said).to_have_text("Pam: Jim is typing…")
    await said.evaluate("(element) => { element.textContent = ''; }")
    await chat.jim.composer.press("Enter")
    await chat.pam.shows("h")
    await expect(chat.pam.typing).to_be_hidden()
    while not await chat.pam.typing.is_visible():  # is told at most each 1.5 s
        await chat.jim.composer.press_sequentially("o", delay=20)
    await expect(chat.pam.typing).to_be_visible()
    await expect(said).to_be_empty()


async def test_a_banner_that_goes_gives_its_focus_to_the_composer(open_chat: Open) -> None:
    chat = await open_chat(expecting=("net::ERR_FAILED",))
    await chat.page.route("**/tokens", lambda route: route.abort())
    await chat.page.add_init_script("Math.random = () => 1e6")  # it waits for the button alone
    await chat.page.reload()
    await chat.jim.is_said_to_be("Offline")
    await chat.jim.notice.get_by_role("button").focus()
    await chat.page.unroute_all(behavior="wait")
    await chat.page.keyboard.press("Enter")
    await expect(chat.jim.notice).to_be_hidden()
    await expect(chat.jim.composer).to_be_focused()


async def test_without_colours_what_is_own_or_chosen_still_shows(open_chat: Open) -> None:
    chat = await open_chat(forced_colors="active")
    await chat.jim.say("hello")
    await chat.pam.shows("hello")
    await chat.jim.react("hello", "👍")
    faces = [each.chips("hello").locator(".chip-face") for each in (chat.jim, chat.pam)]
    look = "(face) => getComputedStyle(face).backgroundColor"
    chosen, other = [await face.evaluate(look) for face in faces]
    assert chosen != other
    widths = [
        await each.message("hello")
        .locator(".bubble")
        .evaluate("(bubble) => getComputedStyle(bubble).borderTopWidth")
        for each in (chat.jim, chat.pam)
    ]
    assert widths == ["2px", "1px"]

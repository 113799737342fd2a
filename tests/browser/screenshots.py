"""Pictures of the page's main states, narrow to wide, light and dark, for people to look at:
`python -m tests.browser.screenshots DIRECTORY [state…]`. Run by hand; no test."""

import asyncio
import itertools
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page, Route, WebSocketRoute, async_playwright, expect

from tests.browser.chat import Chat, Window
from tests.browser.test_connection import connected
from tests.browser.times import rewrite_times
from tests.support.browser import LIMIT
from tests.support.chromium import launching
from tests.support.servers import Server, start_server

type State = Callable[[Chat], Awaitable[None]]

SIZES = {375: 667, 900: 700, 1440: 900}  # px
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CODE = "for each message:\n    if it is new:\n        show it"


async def empty(chat: Chat) -> None:
    await chat.until_live()


async def busy(chat: Chat) -> None:
    """A conversation with everything in it."""
    jim, pam = chat.jim, chat.pam
    said = (
        (jim, "Morning! Is the new conference room free at ten?"),
        (pam, "Let me look"),
        (pam, "It is. Toby had it, but he moved to https://example.org/rooms (the small one)."),
        (jim, "🎉"),
        (jim, "שלום! תודה רבה"),
        (pam, CODE),
        (
            jim,
            "Great, I will tell the others. Please bring the thing that we talked about",
        ),
        (pam, "👍"),
        (pam, "See you at ten"),
    )
    for window, text in said:
        await say(window, text)
    for window, reaction, text in ((pam, "❤️", said[0][1]), (jim, "👍", "Let me look")):
        await react(window, text, reaction)
    await react(pam, "Let me look", "👍")


async def say(window: Window, text: str) -> None:
    """Also in the window that a narrow page does not show."""
    await window.composer.evaluate(
        "(area, text) => { area.value = text; area.dispatchEvent(new InputEvent('input'));"
        " area.form.requestSubmit(); }",
        text,
    )
    await window.log.locator(".bubble", has_text=text.split("\n")[0]).last.wait_for(
        state="attached"
    )
    await expect(window.waiting).to_have_count(0)


async def react(window: Window, text: str, reaction: str) -> None:
    item = window.log.locator(".message", has_text=text).first
    await item.locator(".bubble").dispatch_event("click")
    await window.root.locator(f".picker [data-reaction='{reaction}']").dispatch_event("click")
    await expect(item.locator(f".chip[data-reaction='{reaction}']")).to_be_attached()


async def days(chat: Chat) -> None:
    """The same, read again as if it had been written over three days."""
    await busy(chat)
    await chat.page.route("**/connection/listMessages**", rewrite_times)
    await chat.page.reload()
    await chat.until_live()


async def picker(chat: Chat) -> None:
    await busy(chat)
    await chat.jim.message("Let me look").locator(".bubble").click()
    await expect(chat.jim.picker).to_be_visible()


async def tall_picker(chat: Chat) -> None:
    await say(chat.pam, "\n".join(["a line that is as long as a line may be in here", "and"] * 30))
    await chat.jim.bubbles.last.click()
    await expect(chat.jim.picker).to_be_visible()


async def typing(chat: Chat) -> None:
    await busy(chat)
    await chat.pam.composer.evaluate(
        "(area) => { area.value = 'One more'; area.dispatchEvent(new InputEvent('input')); }"
    )
    await expect(chat.jim.typing).not_to_be_empty()


async def lost(chat: Chat) -> None:
    """The connections break, with a message waiting."""
    sockets: list[WebSocketRoute] = []
    await chat.page.route_web_socket("**/v1**", lambda route: sockets.append(connected(route)))
    await chat.page.reload()
    await chat.until_live()
    await busy(chat)
    await chat.page.context.set_offline(True)
    for socket in sockets:
        await socket.close(code=1012)
    await write(chat.jim, "Are you still there?")
    await expect(chat.jim.root.get_by_text("Not sent yet").first).to_be_attached()


async def write(window: Window, text: str) -> None:
    await window.composer.fill(text)
    await window.send_button.click()


async def away(chat: Chat) -> None:
    """No server from the beginning."""
    await chat.page.goto("about:blank")
    await chat.page.route("**/tokens", lambda route: route.abort())
    await chat.open()
    await expect(chat.jim.notice).to_be_visible()


async def loading(chat: Chat) -> None:
    await say(chat.pam, "hello")

    async def hold(route: Route) -> None:
        await asyncio.sleep(30)

    await chat.page.route("**/connection/listMessages**", hold)
    await chat.page.reload()
    await expect(chat.jim.root.get_by_text("Loading the messages")).to_be_visible()


async def too_long(chat: Chat) -> None:
    await write(chat.jim, "x" * 40_000)
    await expect(chat.jim.root.locator(".problem")).to_be_visible()


async def toast(chat: Chat) -> None:
    await busy(chat)
    await chat.button("Copy link")
    await expect(chat.toast).not_to_be_empty()


async def other_tab(chat: Chat) -> None:
    """What a narrow page tells of the window that it does not show."""
    await busy(chat)
    await say(chat.jim, "Where are you? The coffee is getting cold")
    await chat.jim.composer.press_sequentially("Pam")


async def how(chat: Chat) -> None:
    await chat.button("How it works")
    await expect(chat.page.get_by_role("dialog", name="How it works")).to_be_visible()


async def look_inside(chat: Chat, tab: str) -> None:
    await busy(chat)
    await chat.jim.root.get_by_role("button", name="Look inside").click()
    await chat.jim.root.get_by_role("tab", name=tab).click()


async def switch(chat: Chat, name: str) -> None:
    await chat.page.locator("#inside-jim").get_by_role("button", name=name).click()


async def inside_frames(chat: Chat) -> None:
    """The newest frames, one of them open."""
    await look_inside(chat, "Frames")
    await chat.jim.root.locator("summary:visible").last.click()


async def inside_token(chat: Chat) -> None:
    await look_inside(chat, "Token")


async def inside_trials(chat: Chat) -> None:
    await look_inside(chat, "Forbidden")
    await chat.jim.root.get_by_role("button", name="Send it").first.click()
    await expect(chat.jim.root.get_by_text("Refused")).to_be_visible()


async def inside_offline(chat: Chat) -> None:
    """It is offline, was, and has caught up."""
    await look_inside(chat, "Frames")
    await switch(chat, "Go offline")
    await say(chat.pam, "Are you there?")
    await switch(chat, "Go online")
    await chat.jim.bubbles.filter(has_text="Are you there?").wait_for(state="attached")
    await switch(chat, "Go offline")


STATES: dict[str, State] = {
    each.__name__: each
    for each in (
        *(empty, busy, days, picker, tall_picker, typing, lost),
        *(away, loading, too_long, toast, other_tab, how),
        *(inside_frames, inside_token, inside_trials, inside_offline),
    )
}


async def picture(browser: Browser, server: Server, name: str, width: int, to: Path) -> None:
    """The state as it is reached once, in both schemes."""
    phone = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if width < 700 else {}
    size: Any = {"width": width, "height": SIZES[width]}
    context = await browser.new_context(viewport=size, reduced_motion="reduce", **phone)
    await context.grant_permissions(["clipboard-write"], origin=server.url)
    chat = Chat(await context.new_page(), server.url)
    await chat.open()
    await chat.until_live()
    await STATES[name](chat)
    for scheme in SCHEMES:
        await draw(chat.page, scheme, to / f"{name}-{width}-{scheme}.png")
    await context.close()


async def draw(page: Page, scheme: Literal["light", "dark"], to: Path) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    await page.screenshot(path=to)


async def main(to: Path, names: list[str]) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        start_server("uvicorn", Path(directory)) as server,
    ):
        async with async_playwright() as playwright:
            expect.set_options(timeout=LIMIT)
            browser = await playwright.chromium.launch(**launching())
            for name, width in itertools.product(names or STATES, SIZES):
                await picture(browser, server, name, width, to)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))

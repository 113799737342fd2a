"""The page as its readers find it: by names, roles and words."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Locator, Page, Request, WebSocket, expect

NAMES = {"jim": "Jim", "pam": "Pam"}
WATCH_SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => shifts.push(value)))
  .observe({ type: "layout-shift" });"""


class Window:
    """One person's window."""

    def __init__(self, page: Page, uid: str) -> None:
        self.page = page
        self.name = NAMES[uid]
        self.root = page.locator(f"#window-{uid}")
        self.log = self.root.locator("[role=log]")  # also where its window is hidden
        self.bubbles = self.log.locator(".bubble")
        self.scroller = self.root.locator(".scroller")
        self.composer = self.root.get_by_label(f"Message as {self.name}")
        self.send_button = self.root.get_by_role("button", name=f"Send as {self.name}")
        self.state = self.root.locator(".state")
        self.notice = self.root.locator(".notice")
        self.waiting = self.log.locator(".waiting")
        self.typing = self.root.locator(".typing-words")
        self.picker = self.root.get_by_role("group", name="React")
        self.newer = self.root.locator(".newer")

    async def say(self, text: str) -> None:
        await self.composer.fill(text)
        await self.composer.press("Control+Enter")  # also where Enter makes a new line

    def message(self, text: str) -> Locator:
        """The message with exactly this text."""
        bubble = self.page.get_by_text(text, exact=True)
        return self.log.get_by_role("listitem").filter(has=bubble)

    async def react(self, text: str, reaction: str) -> None:
        await self.message(text).locator(".bubble").hover()
        await self.picker.locator(f"[data-reaction='{reaction}']").click()

    def chips(self, text: str) -> Locator:
        return self.message(text).locator(".chip")

    async def shows(self, *texts: str) -> None:
        """Waits until exactly these messages are here, in this order."""
        await expect(self.bubbles).to_have_text(list(texts))

    async def is_said_to_be(self, word: str) -> None:
        await expect(self.state).to_have_text(word)


@dataclass
class Chat:
    """Both windows and what is around them."""

    page: Page
    url: str
    sockets: list[Socket] = field(default_factory=list)
    calls: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jim = Window(self.page, "jim")
        self.pam = Window(self.page, "pam")
        self.toast = self.page.locator(".toast")
        self.page.on("websocket", lambda socket: self.sockets.append(Socket(socket)))
        self.page.on("request", lambda call: self.calls.append(call))

    async def open(self, session: str = "") -> None:
        await self.page.goto(f"{self.url}/#{session}" if session else self.url)

    async def until_live(self) -> None:
        """Both are online and have read their history."""
        ready = "[data-phase=live] [role=log][aria-busy=false]"
        for uid in NAMES:
            await self.page.locator(f"#window-{uid}{ready}").wait_for(state="attached")

    async def button(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).click()

    async def watch_shifts(self) -> None:
        await self.page.evaluate(WATCH_SHIFTS)

    async def shifted(self) -> float:
        """How much of the layout moved since then, without being asked."""
        return float(await self.page.evaluate("shifts.reduce((one, other) => one + other, 0)"))

    @property
    def session(self) -> str:
        return self.page.url.partition("#")[2]

    def called(self, path: str) -> list[Any]:
        """The bodies of the calls to that path, in order."""
        return [json.loads(call.post_data or "null") for call in self.calls if path in call.url]


class Socket:
    """What a WebSocket of the page has sent, with the time of each frame."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.url = socket.url
        self.frames: list[tuple[float, dict[str, Any]]] = []
        socket.on("framesent", self._sent)

    def _sent(self, payload: str | bytes) -> None:
        self.frames.append((time.monotonic(), json.loads(payload)))

    @property
    def is_closed(self) -> bool:
        return self._socket.is_closed()

    def sent(self, event: str) -> list[Any]:
        return [frame for _, frame in self.frames if frame["event"] == event]


def socket_of(chat: Chat, uid: str) -> Socket:
    """That person's latest socket; whose it is stands in its token."""
    return next(one for one in reversed(chat.sockets) if uid_in(one.url) == uid)


def uid_in(url: str) -> str:
    payload = url.partition("token=")[2].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["uid"])


async def until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Waits for what no locator can tell."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.01)

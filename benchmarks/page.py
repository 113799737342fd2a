"""`python -m benchmarks --page [STORED ...]`: the page with long chats, in Chromium on SQLite.

For each number of stored messages (10,000 and 100,000): opening, what a message takes from Enter in
one window to the other's document, messages of another browser, typing, and scrolling up through
2,000. Two minutes.
"""

import asyncio
import itertools
import json
import tempfile
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from playwright.async_api import Page, async_playwright
from websockets.asyncio.client import connect

from tests.support.chromium import launching
from tests.support.servers import Server, start_server, token

STORED: Final = (10_000, 100_000)
FILL: Final = 1000  # frames on their way at once
SENT: Final = 200
BY_OTHERS: Final = 40
LAST: Final = f"from another browser {BY_OTHERS - 1}"
SCROLLED: Final = 2000
CHAT: Final = {"publish": True, "echo": True, "store": 86400}
READY: Final = "[data-phase=live] [role=log][aria-busy=false]"

# Before the page's own scripts: what it does too slowly, and what it moves without being asked.
WATCH: Final = """
window.watched = { tasks: [], shifts: [] };
const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note))
  .observe({ type, buffered: true });
watch("longtask", ({ duration }) => watched.tasks.push(duration));
watch("layout-shift", ({ value, hadRecentInput }) => hadRecentInput || watched.shifts.push(value));
"""
TAKE: Final = (
    "() => { const was = window.watched; window.watched = { tasks: [], shifts: [] }; return was; }"
)
NODES: Final = """() => {
  const walker = document.createTreeWalker(document);
  let count = 1;
  while (walker.nextNode()) count += 1;
  return count;
}"""
TEXTS: Final = "[...document.querySelectorAll('#window-jim .bubble')].map((it) => it.textContent)"
MESSAGES: Final = "document.querySelectorAll('.messages > .message').length"
# A message for each of the numbers: ms from Enter in Jim's window until Pam's document has it.
SEND: Final = """async (count) => {
  const area = document.querySelector("#window-jim textarea");
  const list = document.querySelector("#window-pam .messages");
  const took = [];
  for (let number = 0; number < count; number += 1) {
    const text = `measured ${number} of ${count} ${Math.random()}`;
    const { promise, resolve } = Promise.withResolvers();
    const observer = new MutationObserver(() => list.textContent.includes(text) && resolve());
    observer.observe(list, { childList: true, subtree: true });
    area.value = text;
    const start = performance.now();
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    await promise;
    took.push(performance.now() - start);
    observer.disconnect();
    await new Promise((go) => setTimeout(go, 20 + Math.random() * 30));
  }
  return took;
}"""


def main(*stored: int) -> None:
    for count in stored or STORED:
        print(f"\n{count:,} messages stored")
        with (
            tempfile.TemporaryDirectory(prefix="chatsite-page-") as directory,
            start_server("uvicorn", Path(directory), CLIENT_FRAMES_PER_SECOND="0") as server,
        ):
            asyncio.run(_measure(server, count))


async def _measure(server: Server, count: int) -> None:
    await publish(server, "long", count)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launching())
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.add_init_script(WATCH)
        calls: list[str] = []
        page.on("request", lambda call: calls.append(call.url))
        for part in (_open, _send, _others, _type, _scroll):
            calls.clear()
            await part(server, page)
            await _report(page, sum("listMessages" in url for url in calls))
        await browser.close()


async def publish(server: Server, session: str, count: int, text: str = "number") -> None:
    """As Pam; all are stored when it returns."""
    channel = f"chat-{session}"
    claims = {"uid": "pam", "channels": {channel: {"subscribe": True, "messages": {"chat": CHAT}}}}
    async with connect(f"{server.ws_url}?token={token(server, **claims)}") as socket:
        await socket.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}))
        for batch in itertools.batched(range(count), FILL):
            for number in batch:
                frame = {"event": "chat", "channel": channel, "data": f"{text} {number}"}
                await socket.send(json.dumps(frame))
            last: Any = None
            while last != f"{text} {batch[-1]}":
                last = json.loads(await socket.recv()).get("data")


async def _open(server: Server, page: Page) -> None:
    await page.goto(f"{server.url}/#long")
    for uid in ("jim", "pam"):
        await page.locator(f"#window-{uid}{READY}").wait_for(state="attached")
    print(f"  open: {await page.evaluate('performance.now()'):.0f} ms")


async def _send(_server: Server, page: Page) -> None:
    took = await page.evaluate(SEND, SENT)
    cuts = quantiles(took, n=100)
    print(f"  Enter to the other document: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")


async def _others(server: Server, page: Page) -> None:
    await publish(server, "long", BY_OTHERS, "from another browser")
    await page.locator("#window-jim").get_by_text(LAST, exact=True).wait_for()
    print(f"  {BY_OTHERS} messages from another browser")


async def _type(_server: Server, page: Page) -> None:
    await page.locator("#window-jim textarea").press_sequentially("what one types " * 8, delay=15)
    print("  typing")


async def _scroll(_server: Server, page: Page) -> None:
    """Until so many older ones have come, or for so many turns of the wheel."""
    await page.locator("#window-jim .scroller").hover()
    seen: set[str] = set()
    turns = 0
    while len(seen) < SCROLLED and turns < SCROLLED:
        await page.mouse.wheel(0, -400)
        seen |= set(await page.evaluate(TEXTS))
        turns += 1
    print(f"  scrolling up through {len(seen):,} messages, {turns} turns of the wheel")


async def _report(page: Page, requests: int) -> None:
    watched = await page.evaluate(TAKE)
    tasks, shifts = watched["tasks"], watched["shifts"]
    print(
        f"    {await page.evaluate(NODES):,} nodes, {await page.evaluate(MESSAGES)} messages,"
        f" {requests} history requests, {len(tasks)} tasks over 50 ms"
        f" (longest {max(tasks, default=0):.0f}), layout shift {sum(shifts):.4f}",
        flush=True,
    )

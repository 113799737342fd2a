"""Socket.IO with connection state recovery, through what `test_follow.py` does to ours: cuts of
0.05 to 3 s, one of 30 s in fifty, a frozen tab, and kills of the server.

    python -m tests.faults.socketio --breaks 100 [--seed N] [--no-kills]

Its recovery needs the in-memory adapter or one of a few others; this is the in-memory one, with its
usual limit of two minutes. Prints what the page rendered of what the server had accepted.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import CDPSession, Page, TimeoutError, async_playwright

from benchmarks.peers.node import HERE, install, node, version
from tests.faults.proxy import Proxy
from tests.support.chromium import launching
from tests.support.servers import Program, free_port

CUT_SECONDS = (0.05, 3.0)
LONG_CUT_SECONDS = 30.0
PAUSE_SECONDS = 0.003
LAST_SECONDS = 60
PAGE = """async ({ script, url }) => {
  const { io } = await import(script);
  const record = { rendered: [], recovered: 0, anew: 0 };
  const log = document.body.appendChild(document.createElement("ol"));
  const socket = io(url, { transports: ["websocket"], reconnectionDelayMax: 5000 });
  socket.on("connect", () => (record[socket.recovered ? "recovered" : "anew"] += 1));
  socket.on("chat", (number) => {
    const item = log.appendChild(document.createElement("li"));
    item.textContent = number;
    record.rendered.push(Number(number));
    if (log.childElementCount > 300) log.firstElementChild.remove();
  });
  globalThis.record = record;
  globalThis.socket = socket;
}"""


@dataclass
class Reader:
    page: Page
    tab: CDPSession
    link: Proxy
    server: Program
    chance: random.Random
    accepted: list[int] = field(default_factory=list)

    async def cut(self, seconds: float) -> None:
        self.link.cut()
        await asyncio.sleep(seconds)
        self.link.mend()

    async def kill(self) -> None:
        self.server.kill()
        await asyncio.to_thread(start, self.server)

    async def sleep(self) -> None:
        await self.tab.send("Page.setWebLifecycleState", {"state": "frozen"})
        await asyncio.sleep(self.chance.uniform(*CUT_SECONDS))
        await self.cut(self.chance.uniform(*CUT_SECONDS))
        await self.tab.send("Page.setWebLifecycleState", {"state": "active"})

    async def one_break(self, number: int, *, kills: bool) -> None:
        with suppress(TimeoutError):
            await self.page.wait_for_function("socket.connected", timeout=10_000)
        await asyncio.sleep(self.chance.uniform(0.0, 0.4))
        if number % 50 == 49:
            await self.cut(LONG_CUT_SECONDS)
        elif number % 10 == 2 and kills:
            await self.kill()
        elif number % 10 == 6:
            await self.sleep()
        else:
            await self.cut(self.chance.uniform(*CUT_SECONDS))

    async def publish(self) -> None:
        """Numbers, one after another; what is not accepted is not counted."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.server.port}") as http:
            for number in range(10**9):
                with suppress(httpx.TransportError):
                    await http.post("/publish", content=str(number))
                    self.accepted.append(number)
                await asyncio.sleep(PAUSE_SECONDS)


def start(server: Program) -> None:
    server.start(lambda: answers(server.port))


def answers(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/").is_success
    return False


@asynccontextmanager
async def reading(directory: Path, seed: int) -> AsyncIterator[Reader]:
    port = free_port()
    command = [node(), str(HERE / "recovering.js"), str(port)]
    server = Program(command, port, directory / "socketio.log", cwd=HERE)
    start(server)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launching())
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        with Proxy(port).running() as link:
            url = f"http://127.0.0.1:{link.port}"
            script = f"http://127.0.0.1:{port}/socket.io/socket.io.esm.min.js"
            await page.evaluate(PAGE, {"url": url, "script": script})
            await page.wait_for_function("socket.connected")
            tab = await page.context.new_cdp_session(page)
            yield Reader(page, tab, link, server, random.Random(seed))
        await browser.close()
    server.kill()


async def run(breaks: int, seed: int, *, kills: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        async with reading(Path(directory), seed) as reader:
            publishing = asyncio.create_task(reader.publish())
            for number in range(breaks):
                await reader.one_break(number, kills=kills)
            await reader.page.wait_for_function("socket.connected")
            await asyncio.sleep(0.5)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            last = f"record.rendered.at(-1) >= {reader.accepted[-1]}"
            with suppress(TimeoutError):
                await reader.page.wait_for_function(last, timeout=LAST_SECONDS * 1000)
            return result(reader.accepted, await reader.page.evaluate("record"))


def result(accepted: list[int], record: dict[str, Any]) -> dict[str, Any]:
    rendered = record["rendered"]
    missing = set(accepted) - set(rendered)
    twice = sum(count - 1 for count in Counter(rendered).values())
    disorder = sum(one > other for one, other in pairwise(rendered))
    return {
        "accepted": len(accepted),
        "missing": len(missing),
        "twice": twice,
        "out of order": disorder,
        "recovered": record["recovered"],
        "began anew": record["anew"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--breaks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--no-kills", action="store_true")
    given = parser.parse_args()
    install()
    begun = time.monotonic()
    found = asyncio.run(run(given.breaks, given.seed, kills=not given.no_kills))
    seconds = round(time.monotonic() - begun)
    print(json.dumps({"socket.io": version("socket.io"), "seed": given.seed, "seconds": seconds}))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

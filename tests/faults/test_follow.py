"""A page that follows a channel renders every message once and in order, whatever becomes of its
connection, its tab, the servers, Redis and PostgreSQL (P2, P3); the Python client gives a program
every message so."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Page, TimeoutError, async_playwright

from chatsite_client import AsyncClient, Follow
from tests.faults import checks
from tests.faults.conftest import ALONE, Fault, Site
from tests.faults.proxy import Proxy
from tests.faults.recording import GRANTS, Publisher, Refused, until, whole_history
from tests.support.chromium import launching
from tests.support.servers import token

BREAKS = 8
LIMIT_SECONDS = 120
LIVE_SECONDS = 15
LIVE = "record.state() === 'live'"
CUT_SECONDS = (0.05, 3.0) if ALONE else (0.05, 0.5)
LONG_CUT_SECONDS = 30.0  # one in fifty
PAUSE_SECONDS = 0.003  # between two messages
SCRIPT = Path(__file__).with_name("following.js").read_text(encoding="utf-8")


@dataclass
class Linked:
    """Who follows, and the link through which it reaches one of the servers."""

    link: Proxy
    site: Site
    fault: Fault

    async def cut(self, seconds: float) -> None:
        self.link.cut()
        self.link.target = self.fault.random.choice(self.site.servers).port
        await asyncio.sleep(seconds)
        self.link.mend()


@dataclass
class Reader(Linked):
    """A page, and its tab."""

    page: Page
    tab: CDPSession

    async def live(self) -> None:
        """Mostly it has caught up by then; some cuts come before that."""
        if self.fault.random.random() < 0.8:
            with suppress(TimeoutError):
                await self.page.wait_for_function(LIVE, timeout=LIVE_SECONDS * 1000)

    async def record(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.page.evaluate("({ ...record, state: record.state() })")
        return found


async def cut(reader: Linked) -> None:
    await reader.cut(reader.fault.random.uniform(*CUT_SECONDS))


async def long_cut(reader: Reader) -> None:
    await reader.cut(LONG_CUT_SECONDS)


async def kill(reader: Linked) -> None:
    """The other server goes on, and publishes."""
    one = reader.site.one
    one.kill()
    reader.link.target = reader.site.other.port
    await asyncio.sleep(reader.fault.random.uniform(0.0, 0.2))
    await asyncio.to_thread(one.restart)


async def redis(reader: Reader) -> None:
    reader.site.redis.kill()
    await cut(reader)
    await asyncio.to_thread(reader.site.start_redis)


async def postgresql(reader: Reader) -> None:
    reader.site.postgres.kill()
    await cut(reader)
    await asyncio.to_thread(reader.site.start_postgres)


async def sleep(reader: Reader) -> None:
    """The tab is frozen; what arrives meanwhile waits for it, until the connection breaks."""
    await reader.tab.send("Page.setWebLifecycleState", {"state": "frozen"})
    await asyncio.sleep(reader.fault.random.uniform(*CUT_SECONDS))
    await cut(reader)
    await asyncio.sleep(reader.fault.random.uniform(*CUT_SECONDS))
    await reader.tab.send("Page.setWebLifecycleState", {"state": "active"})


SELDOM: dict[int, Callable[[Reader], Awaitable[None]]] = {
    1: kill,
    3: redis,
    5: sleep,
    7: postgresql,
}


@asynccontextmanager
async def reading(site: Site, fault: Fault, channel: str) -> AsyncIterator[Reader]:
    """A page that follows the channel, which is empty."""
    jwt = token(site.one, uid="reader", channels=GRANTS, exp=time.time() + 86_400)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launching())
        page = await browser.new_page()
        await page.goto(f"{site.one.url}/healthz")
        with Proxy(site.one.port).running() as link:
            origin = f"http://127.0.0.1:{link.port}"
            given = {"url": origin, "origin": origin, "token": jwt, "channel": channel}
            await page.evaluate(SCRIPT, {**given, "url": f"ws://127.0.0.1:{link.port}/v1"})
            await page.wait_for_function(LIVE)
            tab = await page.context.new_cdp_session(page)
            yield Reader(link, site, fault, page, tab)
        await browser.close()


@asynccontextmanager
async def publishing(site: Site, channel: str) -> AsyncIterator[None]:
    """Meanwhile, to the server that nobody kills."""
    task = asyncio.create_task(publish(site, channel))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(site: Site, channel: str) -> None:
    while True:
        with suppress(Refused):
            writer = await Publisher.open(site.other, "writer", channel, window=20)
            await writer.publish_for_ever(PAUSE_SECONDS)
        await asyncio.sleep(0.05)


async def test_follow(site: Site, fault: Fault, channel: str) -> None:
    async with reading(site, fault, channel) as reader:
        async with publishing(site, channel):
            for number in range(fault.times(BREAKS)):
                await one_break(reader, number)
        await check(reader, channel)


async def one_break(reader: Reader, number: int) -> None:
    break_ = long_cut if number % 50 == 49 else SELDOM.get(number % BREAKS, cut)
    if break_ is redis and reader.site.redis is None:
        break_ = cut
    await reader.live()
    await asyncio.sleep(reader.fault.random.uniform(0.0, 0.4))
    await break_(reader)
    reader.fault.count(break_.__name__)


async def check(reader: Reader, channel: str) -> None:
    fault = reader.fault
    await asyncio.to_thread(reader.site.mend)
    history = await whole_history(reader.site.other, channel)
    begun = time.monotonic()
    had = f"(last) => {LIVE} && record.rendered.at(-1) === last"
    with suppress(TimeoutError):  # what is missing is said below
        await reader.page.wait_for_function(had, arg=history[-1], timeout=LIMIT_SECONDS * 1000)
    record = await reader.record()
    fault.measure("seconds until it had the last", time.monotonic() - begun)
    fault.count("messages", len(history))
    how = Counter("recovered" if c["recovered"] else "history" for c in record["caughtUp"])
    for what, times in how.items():
        fault.count(what, times)
    fault.none("jumps", [c for c in record["caughtUp"] if c["jumped"]])
    ends = {"first": history[0], "last": history[-1]}
    fault.none_of(checks.connection_problems(record["rendered"], history, **ends))


async def test_follow_from_python(site: Site, fault: Fault, channel: str) -> None:
    jwt = token(site.one, uid="reader", channels=GRANTS, exp=time.time() + 86_400)
    with Proxy(site.one.port).running() as link:
        async with AsyncClient(f"http://127.0.0.1:{link.port}", token=lambda: jwt) as client:
            told: list[str] = []
            reading = asyncio.create_task(read(client.follow(channel, limit=None), told))
            async with publishing(site, channel):
                for number in range(fault.times(BREAKS)):
                    await asyncio.sleep(fault.random.uniform(0.0, 0.4))
                    await (kill if number % BREAKS == 1 else cut)(Linked(link, site, fault))
                    fault.count("breaks")
            await asyncio.to_thread(site.mend)
            history = await whole_history(site.other, channel)
            await until(lambda: told[-1:] == history[-1:] or reading.done(), "the last message")
            reading.cancel()
    fault.count("messages", len(history))
    fault.none_of(checks.connection_problems(told, history, first=history[0], last=history[-1]))


async def read(follow: Follow, told: list[str]) -> None:
    async for message in follow:
        told += [message.id]

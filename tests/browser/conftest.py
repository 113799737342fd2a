"""One browser and one server for each worker; a fresh context, and so a fresh chat, for each test.

What the page logs as an error, throws or has blocked by the content security policy fails the
test, unless the test expects it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.chat import Chat
from tests.support.chromium import launching
from tests.support.servers import Server, start_server

LIMIT = 30_000  # ms: for whatever is waited for; a busy machine fails nothing

type Open = Callable[..., Awaitable[Chat]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives in one event loop, so its tests share that of the session."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=LIMIT)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launching())
        yield browser
        await browser.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop, kill and start again."""
    with start_server("uvicorn", tmp_path) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[Callable[..., Awaitable[Page]]]:
    """Opens blank pages, each in a context of its own: another browser, as the server sees it."""
    contexts, problems = [], []

    async def open_page(
        *, expecting: tuple[str, ...] = (), allow: list[str] | None = None, **options: Any
    ) -> Page:
        context = await browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        if allow:
            await context.grant_permissions(allow)
        page = await context.new_page()
        page.set_default_timeout(LIMIT)

        def note(problem: str) -> None:
            if not any(part in problem for part in expecting):
                problems.append(problem)

        page.on("console", lambda message: message.type in LOUD and note(message.text))
        page.on("pageerror", lambda error: note(f"{error}\n{error.stack}"))
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert problems == []


LOUD = {"error", "warning", "assert"}


@pytest_asyncio.fixture(loop_scope="session")
async def open_chat(open_page: Callable[..., Awaitable[Page]], server: Server) -> Open:
    """Opens the chat and waits until both windows are online."""

    async def open_chat(
        session: str = "", *, at: Server | None = None, live: bool = True, **options: Any
    ) -> Chat:
        chat = Chat(await open_page(**options), (at or server).url)
        await chat.open(session)
        if live:
            await chat.until_live()
        return chat

    return open_chat


@pytest_asyncio.fixture(loop_scope="session")
async def chat(open_chat: Open) -> Chat:
    """Both windows, online, in a chat of their own."""
    return await open_chat()

"""One browser and one server for each worker; a fresh context, and so a fresh chat, for each test.

What the page logs as an error, throws or has blocked by the content security policy fails the
test, unless the test expects it.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.chat import Chat
from tests.support.browser import browser, open_page
from tests.support.servers import SHORT_LEASE, Server, start_server

__all__ = ["browser", "open_page"]

type Open = Callable[..., Awaitable[Chat]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives in one event loop, so its tests share that of the session."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop, kill and start again."""
    with start_server("uvicorn", tmp_path, **SHORT_LEASE) as server:
        yield server


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

"""Pages of a real browser: what a page logs as an error, throws or has blocked by the content
security policy fails its test, unless the test expects it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.chromium import launching

LIMIT = 30_000  # ms: for whatever is waited for; a busy machine fails nothing
LOUD = {"error", "warning", "assert"}
PHONE = {"viewport": {"width": 375, "height": 700}}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=LIMIT)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launching())
        yield browser
        await browser.close()


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
    assert problems == [], problems


async def findings(page: Page) -> list[str]:
    """What stands in the way of some readers, of whatever weight."""
    found = await Axe().run(page)
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    violations = [f"{one['id']}: {one['help']}" for one in found.response["violations"]]
    return [*violations, *["scrolls sideways"] * wide]

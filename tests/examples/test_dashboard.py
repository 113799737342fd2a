"""The dashboard, while its producer publishes."""

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect

from tests.examples.conftest import address
from tests.support.browser import PHONE, findings
from tests.support.servers import Program

EXAMPLE = "dashboard"
SERVICES = ["web", "search", "mail", "database"]

type OpenPage = Callable[..., Awaitable[Page]]


async def open_dashboard(open_page: OpenPage, example: Program, **options: object) -> Page:
    page = await open_page(**options)
    await page.goto(address(example))
    await expect(page.locator("#services strong")).to_have_text(SERVICES)
    return page


async def test_the_bars_move_as_the_producer_publishes(
    open_page: OpenPage, example: Program
) -> None:
    page = await open_dashboard(open_page, example)
    readings = "() => [...document.querySelectorAll('meter')].map((each) => each.value).join()"
    seen = await page.evaluate(readings)
    for _ in range(2):
        await page.wait_for_function(f"(seen) => ({readings})() !== seen", arg=seen)
        seen = await page.evaluate(readings)


async def test_the_lines_begin_with_what_was_published_before(
    open_page: OpenPage, example: Program
) -> None:
    page = await open_dashboard(open_page, example)
    points = "document.querySelector('polyline').getAttribute('points').split(' ').length"
    await page.wait_for_function(f"{points} > 2")
    earlier = await page.evaluate(points)
    await page.reload()
    await expect(page.locator("#services strong")).to_have_text(SERVICES)
    assert await page.evaluate(points) >= earlier


async def test_the_page_holds_no_key_and_may_only_read(
    open_page: OpenPage, example: Program
) -> None:
    page = await open_page()
    calls = []
    page.on("response", lambda response: calls.append(response))
    await page.goto(address(example))
    await expect(page.locator("meter")).to_have_count(len(SERVICES))
    texts = [await response.text() for response in calls if str(example.port) in response.url]
    assert not any(example.env["API_SECRET_KEY_1"] in text for text in texts)
    await page.evaluate(
        "async () => { const { connect } = await import('./page.js');"
        " connect({}).sendMessage('load', { channel: 'dashboard.load', data: { web: 999 } }); }"
    )
    await expect(page.get_by_role("status")).to_contain_text("publish")
    await expect(page.locator("#services strong")).to_have_text(SERVICES)


async def test_every_reader_can_use_it(open_page: OpenPage, example: Program) -> None:
    for scheme, size in (("light", {}), ("dark", PHONE)):
        page = await open_dashboard(open_page, example, color_scheme=scheme, **size)
        assert await findings(page) == []

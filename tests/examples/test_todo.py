"""One to-do list in two browsers."""

from collections.abc import Awaitable, Callable, Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.examples.conftest import address
from tests.support.browser import PHONE, findings
from tests.support.servers import Program, Server, start_server

EXAMPLE = "todo"

type OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="module")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that a test may stop."""
    with start_server("uvicorn", tmp_path_factory.mktemp("todo")) as server:
        yield server


async def open_list(open_page: OpenPage, example: Program, **options: object) -> Page:
    page = await open_page(**options)
    await page.goto(address(example))
    await expect(page.get_by_role("status")).to_have_text("Connected")
    return page


async def add(page: Page, text: str) -> None:
    await page.get_by_label("New item").fill(text)
    await page.keyboard.press("Enter")


def text_of(page: Page, text: str) -> Locator:
    return page.get_by_label(f"Item: {text}", exact=True)


def done(page: Page, text: str) -> Locator:
    return page.get_by_label(f"Done: {text}", exact=True)


async def test_what_one_adds_ticks_and_removes_the_other_sees(
    open_page: OpenPage, example: Program
) -> None:
    one, other = [await open_list(open_page, example) for _ in range(2)]
    await add(one, "milk")
    await add(one, "bread")
    await expect(text_of(other, "milk")).to_be_visible()
    await expect(other.locator("#items li .text")).to_have_count(2)
    await done(other, "milk").check()
    await expect(done(one, "milk")).to_be_checked()
    await expect(one.locator("#news")).to_have_text("1 of 2 to do")
    await one.get_by_label("Remove: milk").click()
    await expect(text_of(other, "milk")).to_have_count(0)
    await one.get_by_label("Remove: bread").click()
    await expect(other.locator("#items li")).to_have_count(0)


async def test_the_list_and_its_order_survive_a_reload(
    open_page: OpenPage, example: Program
) -> None:
    page = await open_list(open_page, example)
    for text in ("<i>first</i>", "second", "third"):
        await add(page, text)
        await expect(text_of(page, text)).to_be_visible()
    await done(page, "second").check()
    await expect(page.locator("#news")).to_have_text("2 of 3 to do")
    await page.reload()
    await expect(page.locator("#items li")).to_have_count(3)
    texts = page.locator("#items .text")
    for index, text in enumerate(("<i>first</i>", "second", "third")):
        await expect(texts.nth(index)).to_have_value(text)
    await expect(done(page, "second")).to_be_checked()
    await expect(done(page, "third")).not_to_be_checked()


async def test_an_edit_shows_elsewhere_and_spares_who_is_writing(
    open_page: OpenPage, example: Program
) -> None:
    one, other = [await open_list(open_page, example) for _ in range(2)]
    await add(one, "tea")
    await text_of(one, "tea").fill("tea, gre")
    await done(other, "tea").check()
    await expect(done(one, "tea")).to_be_checked()
    await expect(text_of(one, "tea")).to_have_value("tea, gre")
    await text_of(one, "tea").press("Enter")
    await expect(text_of(other, "tea, gre")).to_have_value("tea, gre")
    await expect(done(other, "tea, gre")).to_be_checked()


async def test_after_the_server_was_gone_the_list_is_whole_again(
    open_page: OpenPage, example: Program, chat_server: Server
) -> None:
    page = await open_list(open_page, example, expecting=("WebSocket connection to", "[hotsock]"))
    await add(page, "before")
    await expect(text_of(page, "before")).to_be_visible()
    chat_server.stop()
    await expect(page.get_by_role("status")).not_to_have_text("Connected")
    await add(page, "meanwhile")
    chat_server.restart()
    for text in ("meanwhile", "before"):
        await expect(text_of(page, text)).to_have_count(1)
    await expect(page.get_by_role("status")).to_have_text("Connected")


async def test_every_reader_can_use_it(open_page: OpenPage, example: Program) -> None:
    for scheme, size in (("light", {}), ("dark", PHONE)):
        page = await open_list(open_page, example, color_scheme=scheme, **size)
        await add(page, "cake")
        await expect(text_of(page, "cake").first).to_be_visible()
        assert await findings(page) == []

"""The shop as its readers run it: with the wheel, by the commands of its README, in one browser of
a customer's and one of the staff's."""

import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.install.projects import Project, commands
from tests.support.browser import PHONE, findings
from tests.support.servers import ROOT

SHOP = ROOT / "examples" / "shop"
PASSWORD = "a-password"
in_the_browsers_loop = pytest.mark.asyncio(loop_scope="session")
OFFLINE = ("ERR_INTERNET_DISCONNECTED", "[hotsock]")
AXE = ("inline style",)  # its own

type OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="module")
def shop(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp("shop") / "shop"
    shutil.copytree(SHOP, directory, ignore=shutil.ignore_patterns("*.sqlite3*", "__pycache__"))
    return Project(directory, python)


@pytest.fixture(scope="module")
def served(shop: Project) -> Iterator[Project]:
    *before, serve = commands((SHOP / "README.md").read_text("utf-8"))
    shop.call(before)
    with shop.serving(*serve[1:]):
        yield shop


async def enter(open_page: OpenPage, shop: Project, name: str, **options: object) -> Page:
    page = await open_page(**options)
    await page.goto(f"http://127.0.0.1:{shop.port}/")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("orders"))
    return page


async def place(page: Page, product: str) -> str:
    """The name of the order, whose page it leads to."""
    await page.get_by_role("link", name="Place an order").press("Enter")
    await page.get_by_label("Product").select_option(product)
    await page.get_by_label("Quantity").press("Enter")
    link = page.get_by_role("link", name=re.compile(r"Order \d"))
    return await link.inner_text()


def row(page: Page, order: str) -> Locator:
    link = page.get_by_role("link", name=order, exact=True)
    return page.locator("#orders li").filter(has=link)


async def say(page: Page, text: str) -> None:
    await page.get_by_role("textbox").fill(text)
    await page.get_by_role("textbox").press("Enter")


def message(page: Page, text: str) -> Locator:
    return page.locator("chat-room").get_by_role("listitem").filter(has_text=text)


def test_its_own_tests_pass(shop: Project) -> None:
    assert "\nOK" in shop.manage("test")


@in_the_browsers_loop
async def test_staff_see_an_order_at_once_and_both_chat_on_it(
    open_page: OpenPage, served: Project
) -> None:
    ada = await enter(open_page, served, "ada", color_scheme="dark", **PHONE)
    bob = await enter(open_page, served, "bob")
    order = await place(ada, "Teapot")
    await expect(row(bob, order)).to_contain_text("1 × Teapot for ada")
    await row(bob, order).get_by_role("link").press("Enter")
    await say(ada, "Is it dishwasher-safe?")
    await expect(message(bob, "dishwasher-safe").locator(".sender")).to_have_text("Ada")
    await say(bob, "It is.")
    await expect(message(ada, "It is.").locator(".sender")).to_have_text("Bob, support")
    await bob.get_by_role("button", name="Packed").press("Enter")
    await expect(row(ada, order)).to_contain_text("Packed")
    assert await ada.get_by_role("button", name="Packed").count() == 0


@in_the_browsers_loop
async def test_a_list_is_whole_again_after_it_was_offline(
    open_page: OpenPage, served: Project
) -> None:
    ada = await enter(open_page, served, "ada")
    bob = await enter(open_page, served, "bob", expecting=OFFLINE)
    first = await place(ada, "Teapot")
    await expect(row(bob, first)).to_contain_text("New")
    await bob.context.set_offline(True)
    await expect(bob.locator("#connection")).to_contain_text("Not connected")
    second = await place(ada, "Teapot")
    await bob.context.set_offline(False)
    await expect(bob.locator("#orders li a").first).to_have_text(second)
    await expect(bob.locator("#connection")).to_have_text("")


@in_the_browsers_loop
async def test_every_reader_can_use_it(open_page: OpenPage, served: Project) -> None:
    ada = await enter(open_page, served, "ada", expecting=AXE)
    bob = await enter(open_page, served, "bob", expecting=AXE)
    order = await place(ada, "Teapot")
    await row(bob, order).get_by_role("link").click()
    await expect(bob.get_by_role("textbox")).to_be_visible()
    await ada.get_by_role("link", name="Orders").click()
    for page in (ada, bob):
        assert await findings(page) == []
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size(PHONE["viewport"])
        assert await findings(page) == []

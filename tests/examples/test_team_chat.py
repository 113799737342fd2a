"""Two people in the team chat, each in a browser of their own."""

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect

from tests.examples.conftest import address
from tests.support.browser import PHONE, findings
from tests.support.servers import Program

EXAMPLE = "team-chat"

type OpenPage = Callable[..., Awaitable[Page]]


async def join(open_page: OpenPage, example: Program, name: str, **options: object) -> Page:
    page = await open_page(**options)
    await page.goto(address(example))
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Join").click()
    await expect(page.locator("#members")).to_contain_text(name)
    await expect(page.get_by_label("Your name")).to_be_hidden()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    return page


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def test_each_sees_who_is_here_as_they_come_and_go(
    open_page: OpenPage, example: Program
) -> None:
    ada = await join(open_page, example, "Ada")
    members = ada.locator("#members li")
    await expect(members).to_have_text(["Ada"])
    bob = await join(open_page, example, "Bob")
    await expect(members).to_have_text(["Ada", "Bob"])
    await expect(bob.locator("#members li")).to_have_text(["Ada", "Bob"])
    await bob.close()
    await expect(members).to_have_text(["Ada"])


async def test_what_one_says_the_other_reads_also_later(
    open_page: OpenPage, example: Program
) -> None:
    cleo = await join(open_page, example, "Cleo")
    dan = await join(open_page, example, "Dan")
    await say(cleo, "<b>hello</b>")
    await say(cleo, "anybody here?")
    said = ["Cleo<b>hello</b>", "Cleoanybody here?"]
    for page in (cleo, dan):
        await expect(page.locator("#log li")).to_have_text(said)
    eve = await join(open_page, example, "Eve")
    await expect(eve.locator("#log li")).to_have_text(said)


async def test_typing_shows_to_the_other_until_the_message(
    open_page: OpenPage, example: Program
) -> None:
    fay = await join(open_page, example, "Fay")
    gus = await join(open_page, example, "Gus")
    await fay.get_by_label("Message", exact=True).press_sequentially("h")
    await expect(gus.locator("#typing")).to_have_text("Fay is typing …")
    await expect(fay.locator("#typing")).to_be_empty()
    await fay.keyboard.press("Enter")
    await expect(gus.locator("#typing")).to_be_empty()
    await expect(gus.locator("#log li").last).to_have_text("Fayh")


async def test_a_name_is_more_than_blanks(open_page: OpenPage, example: Program) -> None:
    page = await open_page()
    await page.goto(address(example))
    await page.get_by_label("Your name").fill("   ")
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_label("Your name")).to_be_visible()
    await expect(page.locator("#room")).to_be_hidden()


async def test_every_reader_can_use_it(open_page: OpenPage, example: Program) -> None:
    page = await open_page(color_scheme="dark", **PHONE)
    await page.goto(address(example))
    assert await findings(page) == []
    for name, options in (("Hal", {}), ("Ida", {"color_scheme": "dark", **PHONE})):
        page = await join(open_page, example, name, **options)
        await say(page, "hello " + 60 * "x")
        await expect(page.locator("#log li").last).to_contain_text(f"{name}hello")
        assert await findings(page) == []

"""Ada's and Bob's notifications, each in a browser of their own."""

import re
from collections.abc import Awaitable, Callable

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.examples.conftest import address
from tests.support.browser import PHONE, findings
from tests.support.servers import Program

EXAMPLE = "notifications"

type OpenPage = Callable[..., Awaitable[Page]]


async def open_feed(open_page: OpenPage, example: Program, uid: str, **options: object) -> Page:
    page = await open_page(**options)
    async with page.expect_response("**/listMessages?*"):
        await page.goto(address(example, f"/?as={uid}"))
    return page


async def notify(page: Page, to: str, text: str, when: str = "now") -> None:
    await page.get_by_label("Whom").select_option(to)
    await page.get_by_label("When").select_option(when)
    await page.get_by_label("Text").fill(text)
    await page.keyboard.press("Enter")


async def test_each_is_told_what_is_meant_for_them_alone(
    open_page: OpenPage, example: Program
) -> None:
    ada = await open_feed(open_page, example, "ada")
    bob = await open_feed(open_page, example, "bob")
    await notify(bob, "ada", "<b>for Ada</b>")
    await expect(ada.locator("#feed li").first).to_contain_text("<b>for Ada</b>")
    await notify(ada, "bob", "for Bob")
    await expect(bob.locator("#feed li").first).to_contain_text("for Bob")
    await expect(bob.get_by_text("for Ada")).to_have_count(0)
    await expect(ada.get_by_text("for Bob")).to_have_count(0)
    await ada.reload()
    await expect(ada.get_by_text("for Ada")).to_be_visible()


async def test_a_scheduled_one_appears_once_when_it_is_due(
    open_page: OpenPage, example: Program
) -> None:
    ada = await open_feed(open_page, example, "ada")
    await notify(ada, "ada", "later", "in three seconds")
    await notify(ada, "ada", "at once")
    await expect(ada.get_by_text("later")).to_be_visible()
    newest_first = [re.compile("later$"), re.compile("at once$")]
    for index, text in enumerate(newest_first):
        await expect(ada.locator("#feed li").nth(index)).to_have_text(text)
    await expect(ada.get_by_text("later")).to_have_count(1)


async def test_the_connection_itself_allows_nothing(open_page: OpenPage, example: Program) -> None:
    bob = await open_feed(open_page, example, "bob")
    await bob.evaluate(
        "async () => { const { connect } = await import('./page.js');"
        " connect({ uid: 'bob' }).bind('notice', () => {}, { channel: 'user.bob' }); }"
    )
    await expect(bob.get_by_role("status")).to_contain_text("subscribe")


async def test_a_subscribe_token_opens_nobody_elses_channel(
    open_page: OpenPage, example: Program
) -> None:
    bob = await open_feed(open_page, example, "bob")
    await bob.evaluate(
        "async () => { const { ask, connect } = await import('./page.js');"
        " connect({ uid: 'bob' }).bind('notice', () => {}, { channel: 'user.ada',"
        " subscribeTokenFn: async ({ connectionId }) => (await ask('/subscribe-token',"
        " { uid: 'bob', connectionId })).token }); }"
    )
    await expect(bob.get_by_role("status")).to_contain_text("subscribe")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"uid": "eve"}', b'{"uid": ["ada"]}', b"{}"],
)
def test_nonsense_is_refused(example: Program, body: bytes) -> None:
    assert httpx.post(address(example, "/token"), content=body).status_code == 400


def test_what_cannot_be_published_is_said(example: Program) -> None:
    for text, status in (("fine", 200), ("\0", 502)):
        wish = {"to": "ada", "text": text, "delay": 0}
        assert httpx.post(address(example, "/notify"), json=wish).status_code == status


async def test_every_reader_can_use_it(open_page: OpenPage, example: Program) -> None:
    for scheme, size in (("light", {}), ("dark", PHONE)):
        page = await open_feed(open_page, example, "ada", color_scheme=scheme, **size)
        await notify(page, "ada", "hello")
        await expect(page.get_by_text("hello").first).to_be_visible()
        assert await findings(page) == []

"""The chat page, as far as a moderator's tests need it."""

import base64
import json

from playwright.sync_api import Locator, Page, expect


class Chat:
    def __init__(self, page: Page) -> None:
        self.page = page
        page.goto("/")
        self.until_live()

    def until_live(self) -> None:
        for uid in ("jim", "pam"):
            expect(self.window(uid)).to_have_attribute("data-phase", "live")
            expect(self.window(uid).locator("[role=log]")).to_have_attribute("aria-busy", "false")

    def window(self, uid: str) -> Locator:
        return self.page.locator(f"#window-{uid}")

    def bubbles(self, uid: str) -> Locator:
        return self.window(uid).locator("[role=log] .bubble")

    def say(self, uid: str, text: str) -> None:
        composer = self.window(uid).get_by_label("Message as")
        composer.fill(text)
        composer.press("Enter")
        expect(self.bubbles("pam").filter(has_text=text)).to_be_visible()

    def react(self, uid: str, text: str, reaction: str) -> None:
        message = self.window(uid).get_by_role("listitem").filter(has_text=text)
        message.locator(".bubble").hover()
        self.window(uid).locator(f"[data-reaction='{reaction}']").click()
        expect(message.locator(".chip")).to_have_text([f"{reaction}1"])

    @property
    def channel(self) -> str:
        return f"chat-{self.page.url.partition('#')[2]}"


def uid_in(address: str) -> str:
    """Whose socket it is stands in its token."""
    payload = address.partition("token=")[2].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["uid"])

"""Guessers of passwords, each from an address of its own. To hash one takes half a second."""

import asyncio
import secrets

from tests.hostile.attack import SECONDS, unaffected
from tests.support.calls import http_client
from tests.support.servers import Server

GUESSERS = 12
LOGIN = "/admin/login/"


async def guess(server: Server, address: str, answered: set[int]) -> None:
    """Again and again; keeps what the answers are."""
    async with http_client(server) as browser:
        browser.headers.update({"X-Forwarded-For": address, "Origin": server.url})
        await browser.get(LOGIN)
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        while True:
            form["username"] = form["password"] = secrets.token_hex(4)  # no account is closed
            answered.add((await browser.post(LOGIN, data=form)).status_code)


async def test_guessers_do_not_slow_the_others_down(attacked_serve: Server) -> None:
    network, answered = secrets.randbelow(256), set[int]()
    addresses = [f"198.18.{network}.{number}" for number in range(GUESSERS)]
    async with unaffected(attacked_serve):
        guessers = [
            asyncio.create_task(guess(attacked_serve, each, answered)) for each in addresses
        ]
        failed, _ = await asyncio.wait(guessers, timeout=SECONDS, return_when="FIRST_EXCEPTION")
        for each in guessers:
            each.cancel()
    assert not failed
    assert answered <= {200, 429}

"""Guessers of passwords, each from an address of its own. To hash one takes half a second."""

import asyncio
import secrets
import time

from tests.hostile.attack import SECONDS, unaffected
from tests.support.calls import http_client
from tests.support.servers import Server

GUESSERS = 12
LOGIN = "/admin/login/"


async def guess(server: Server, address: str) -> set[int]:
    """How it is answered, again and again."""
    async with http_client(server) as browser:
        browser.headers |= {"X-Forwarded-For": address, "Origin": server.url}
        await browser.get(LOGIN)
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        until, answered = time.monotonic() + SECONDS, set()
        while time.monotonic() < until:
            form["username"] = form["password"] = secrets.token_hex(4)  # no account is closed
            answered.add((await browser.post(LOGIN, data=form)).status_code)
        return answered


async def test_guessers_do_not_slow_the_others_down(attacked_serve: Server) -> None:
    network = secrets.randbelow(256)
    async with unaffected(attacked_serve):
        addresses = [f"198.18.{network}.{number}" for number in range(GUESSERS)]
        answered = await asyncio.gather(*(guess(attacked_serve, each) for each in addresses))
    assert set().union(*answered) <= {200, 429}

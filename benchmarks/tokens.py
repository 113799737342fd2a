"""`python -m benchmarks --tokens`: what a token costs: verifying one that was seen before, and
resolving a permission."""

import os
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator

import jwt

from benchmarks.measure import RUNS, Row, compare
from tokens.api import issue
from tokens.conf import settings
from tokens.permissions import Grants, grants
from tokens.signing import verify

MESSAGES = {"chat": {"publish": True, "echo": True, "store": 86400}}


def main() -> None:
    os.environ.update(
        DJANGO_SETTINGS_MODULE="chatsite.settings",
        DEBUG="false",
        SECRET_KEY=secrets.token_urlsafe(48),
        SIGNING_KEY_1_METHOD="HS256",
        SIGNING_KEY_1_ENCODED=b64encode(secrets.token_bytes(64)).decode(),
    )
    import django

    django.setup()
    print(f"{'what':<44}{'ours':>12}{'peer':>12}{'ratio':>8}  peer")
    for row in rows():
        print(row, flush=True)


def rows() -> Iterator[Row]:
    yield _large_token()
    yield _hot_token()
    yield _hot_permission()


def _claims(channels: int) -> dict[str, object]:
    names = [f"room-{n}" if n % 3 else f"room-{n}-*" for n in range(channels)]
    granted = {name: {"subscribe": True, "messages": MESSAGES} for name in names}
    return {"scope": "connect", "uid": "jim", "channels": granted}


def _large_token() -> Row:
    """500 entries, 100 of them regular expressions: at its first use, and from then on."""

    def token(run: int) -> str:
        names = [f"room-{run}-{n}" if n % 3 else f"room-{run}-{n}-*" for n in range(400)]
        names += [f"#regex:^team-{run}-{n}-[a-z0-9]+$" for n in range(100)]
        granted = {
            name: {"subscribe": True, "messages": {"chat": {"publish": True}}} for name in names
        }
        return issue({"scope": "connect", "uid": "jim", "channels": granted}, lifetime=3600)

    fresh = iter([token(run) for run in range(RUNS)])
    known = token(RUNS)

    def first(times: int) -> None:
        grants(verify(next(fresh), scope="connect", now=time.time()))

    def again(times: int) -> None:
        grants(verify(known, scope="connect", now=time.time()))

    again(1)
    return compare(
        "500 channels, 100 of them regexes, again", again, first, "its first use", times=1
    )


def _hot_token() -> Row:
    token = issue(_claims(100), lifetime=3600)
    key = b64decode(settings.SIGNING_KEY_1_ENCODED)

    def ours(times: int) -> None:
        now = time.time()
        for _ in range(times):
            verify(token, scope="connect", now=now)

    def peer(times: int) -> None:
        for _ in range(times):
            jwt.decode(token, key, ["HS256"])

    return compare("a token seen before, 100 channels", ours, peer, "PyJWT decode", times=1000)


def _hot_permission() -> Row:
    claims = verify(issue(_claims(100), lifetime=3600), scope="connect", now=time.time())
    warm = Grants(claims)

    def ours(times: int) -> None:
        for _ in range(times):
            warm.message("room-1", "chat")

    def peer(times: int) -> None:
        for _ in range(times):
            Grants(claims).message("room-1", "chat")

    return compare("a permission among 100 entries", ours, peer, "resolved anew", times=200)

"""The demo's page, and how many sessions of it an address may have: whoever has one may write."""

import time
from functools import lru_cache
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from chat.http.staticfiles import built, compress
from chat.protocol.addresses import is_loopback, network
from chat.protocol.frames import Rate
from tokens.conf import settings

SESSIONS: Final = 20  # of an address, within SECONDS, in each process
SECONDS: Final = 60
MAX_ADDRESSES: Final = 4096  # those remembered, and their sessions
MAX_SESSIONS: Final = 16_384

_sessions: dict[tuple[str, str], float] = {}  # network, session -> when it last came


@csrf_exempt  # any other method is a 405, not a 403
@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """The chat page, where it is switched on; its tokens come from `POST tokens` beside it."""
    if not settings.DEMO:
        raise Http404
    said = {
        "script": built("chat/demo/main.js"),
        "style": built("chat/demo/demo.css"),
        "websocket": reverse("chat:websocket"),
    }
    shown = render(request, "chat/demo.html", said)
    compress(request, shown)  # it holds no secret, and nothing of what a request says
    return shown


def admits(request: HttpRequest, session: str) -> bool:
    """Whether this address may have this session's tokens now. One that it had within SECONDS does
    not count again; this machine may have any number."""
    address = request.META.get("REMOTE_ADDR") or ""
    if is_loopback(address):
        return True
    now, key = time.monotonic(), (network(address), session)
    if now - _sessions.pop(key, -SECONDS) >= SECONDS and not _rate(key[0]).allows(now):
        return False
    _sessions[key] = now  # the last one
    if len(_sessions) > MAX_SESSIONS:
        del _sessions[next(iter(_sessions))]
    return True


@lru_cache(MAX_ADDRESSES)
def _rate(network: str) -> Rate:
    return Rate(SESSIONS / SECONDS, SECONDS)

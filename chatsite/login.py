"""Who may try to log in to the admin, and how often. django-axes counts failures and refuses before
the password is hashed; here is what counts as one, and what a try may cost the others."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final

from axes.helpers import get_client_username
from axes.models import AccessLog
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils.decorators import async_only_middleware

from chat.protocol.addresses import network

REMEMBERED: Final = timedelta(days=90)  # where somebody logged in from
HASH_SECONDS: Final = 10  # waits a try at most for those before it
TRIES: Final = 16  # at once in a process: each has a thread
TRIES_OF_ADDRESS: Final = 4
DELAY_SECONDS: Final = 1  # before a refusal is sent, so that who is refused does not ask on and on
MAX_DELAYED: Final = 256

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

_hashing = threading.Lock()  # half a second of a core each: the others need one, too
_tries: Counter[str] = Counter()  # under way, by network
_delayed: set[object] = set()


def client_address(request: HttpRequest) -> str | None:
    """The first address of what counts as one; behind a proxy that is trusted, the client's."""
    try:
        text = network(request.META.get("REMOTE_ADDR") or "").partition("/")[0]
        return str(ip_address(text))
    except ValueError:
        return None


def counted(request: Any, credentials: dict[str, Any] | None = None) -> list[str | list[str]]:
    """Which failures count: those under this name and those from this address; where the two have
    logged in together before, only those of both, so that nobody else can lock them out."""
    name, address = get_client_username(request, credentials), client_address(request)
    known = AccessLog.objects.filter(username=name, ip_address=address).exists()
    return [["username", "ip_address"]] if known else ["username", "ip_address"]


class Backend(ModelBackend):
    """Hashes one password at a time in a process. Raises PermissionDenied, which becomes
    `refusal`, where too many wait."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        connection.close()  # while it waits, others may have the pool's
        if not _hashing.acquire(timeout=HASH_SECONDS):
            request.axes_locked_out = True  # type: ignore[union-attr]
            raise PermissionDenied
        try:
            user = super().authenticate(request, username, password, **kwargs)
        finally:
            _hashing.release()
        if user is not None:
            _forget()
        return user


def _forget() -> None:
    """What is too old. Failures axes removes by itself."""
    AccessLog.objects.filter(attempt_time__lt=Now() - REMEMBERED).delete()
    Session.objects.filter(expire_date__lt=Now()).delete()


def refusal(request: HttpRequest, *rest: object) -> HttpResponse:
    said = "Too many attempts to log in: please wait, 15 minutes at most."
    return HttpResponse(said, status=429, content_type="text/plain", headers={"Retry-After": "900"})


@async_only_middleware
def middleware(get_response: View) -> View:
    """Lets only some try at once, and sends refusals late."""

    async def respond(request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST" or request.path != _login_path():
            return await get_response(request)
        place = network(request.META.get("REMOTE_ADDR") or "")
        if _tries.total() >= TRIES or _tries[place] >= TRIES_OF_ADDRESS:
            return await _later(refusal(request))
        _tries[place] += 1
        try:
            response = await get_response(request)
        finally:
            _tries[place] -= 1
            if not _tries[place]:
                del _tries[place]
        return await _later(response) if response.status_code == 429 else response

    return respond


async def _later(response: HttpResponseBase) -> HttpResponseBase:
    if len(_delayed) < MAX_DELAYED:
        _delayed.add(response)
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            _delayed.discard(response)
    return response


def _login_path() -> str:
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return ""

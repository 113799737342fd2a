"""The HTTP API without Django's threads: its requests have no cookies, sessions or forms, and are
handled in the event loop. A page of history took 5.0 ms with a thread for each of Django's steps
around it, and takes 2.4 without.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final, Protocol, cast

from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import Resolver404, ResolverMatch, resolve, set_script_prefix, set_urlconf
from django.utils.cache import patch_vary_headers
from django.utils.log import log_response

from chat.conf import settings
from chat.http.access import Access, Send
from chat.http.bodies import SITE_BYTES, SMALL_BYTES, Body, BodyError, Message, Receive
from chat.http.endpoint import CROSS_ORIGIN, ENDPOINTS, Call, refusal
from chat.http.health import PROBES
from chat.protocol.frames import MAX_FRAME_BYTES

JSON_LOADS_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
PREFLIGHT: Final = {
    "Access-Control-Allow-Headers": "content-type, authorization",
    "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
    "Access-Control-Max-Age": "86400",
}

REMEMBERED: Final = 256  # addresses; strangers send any
MAX_REMEMBERED: Final = 128  # characters

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
END: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}


class Handler(ASGIHandler):
    """Django's, with bounds for bodies; for the API and probes, wherever the project's URLs have
    them, without request_started, request_finished and MIDDLEWARE, and from a request's head on."""

    request_class = Call

    def __init__(self) -> None:
        super().__init__()
        self._probe = _catching(_view)
        self._api = _surrounded(_view)

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        access = Access(scope)
        try:
            await self._handle(scope, receive, send, access)
        finally:
            access.write()

    async def _handle(
        self, scope: dict[str, Any], receive: Receive, send: Send, access: Access
    ) -> None:
        match = match_of(scope)
        view = match.func if match else None
        fast = view in ENDPOINTS or view in PROBES
        if not (fast or settings.BOUND_PAGE_BODIES):
            await super().handle(scope, receive, access.watched(send))
            return
        with Body(scope, receive, MAX_FRAME_BYTES if fast else SITE_BYTES) as body:
            refused = None
            if not fast:
                try:
                    body.check()
                    await super().handle(scope, body.receive, access.watched(send))
                    return
                except BodyError as error:
                    refused = error.with_traceback(None)  # it holds what came of the body
            await self._answer(scope, match, body, send, refused, access)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        if not (isinstance(request, Call) and request.by_us):
            return await super().get_response_async(request)
        set_urlconf(django_settings.ROOT_URLCONF)
        probe = request.resolver_match is not None and request.resolver_match.func in PROBES
        response = await (self._probe if probe else self._api)(request)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            said, whole = (response.reason_phrase, request.path), cast("HttpResponse", response)
            log_response("%s: %s", *said, response=whole, request=request)
        return response

    async def _answer(
        self,
        scope: dict[str, Any],
        match: ResolverMatch | None,
        body: Body,
        send: Send,
        refused: BodyError | None,
        access: Access,
    ) -> None:
        """Returns when the answer has left, but for what the server takes without waiting: servers
        wait only with the next message, so that the end of a large one is one of its own."""

        async def send_on(message: Message) -> None:
            ends = message["type"] == "http.response.body"
            await send({**message, "more_body": True} if ends else message)

        set_script_prefix(get_script_prefix(scope))
        request, answer = self.create_request(scope, BytesIO())
        async with AsyncExitStack() as until_answered:
            if isinstance(request, Call):
                request.by_us, request.resolver_match = True, match
                request.incoming, request.refused = body, refused
                request.until_answered = until_answered
                answer = await self.run_get_response(request)
                access.about = request.about
            response = cast("HttpResponse", answer)
            access.status = response.status_code
            whole = await body.has_come()
            if whole and not response.streaming and len(response.content) <= SMALL_BYTES:
                await self.send_response(response, send)
                return
            if not whole:
                response["Connection"] = "close"
            await self.send_response(response, send_on)
            await body.drop()
            await send(END)


def match_of(scope: Mapping[str, Any]) -> ResolverMatch | None:
    """What the project has at the address of a scope."""
    path = scope["path"].removeprefix(get_script_prefix(scope).rstrip("/"))
    look = _match if len(path) <= MAX_REMEMBERED else _match.__wrapped__
    return look(path, django_settings.ROOT_URLCONF)


@lru_cache(REMEMBERED)  # looking takes 40 µs
def _match(path: str, urlconf: str) -> ResolverMatch | None:
    try:
        return resolve(path, urlconf)
    except Resolver404:
        return None


async def _view(request: HttpRequest) -> HttpResponseBase:
    if isinstance(request, Call) and request.refused is not None:
        return refusal(request.refused)
    match = cast("ResolverMatch", request.resolver_match)
    response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    return response


def _surrounded(view: View) -> View:
    """By the middlewares that refuse hosts and add headers."""
    inner = _cors(_in_loop(_Common, _catching(view)))
    return _in_loop(SecurityMiddleware, _without_scripts(inner))


def _without_scripts(get_response: View) -> View:
    async def respond(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        response.headers.setdefault("Content-Security-Policy", JSON_LOADS_NOTHING)
        return response

    return respond


def _cors(get_response: View) -> View:
    """Lets pages of ALLOWED_ORIGINS call what they may; they send no cookies."""

    async def respond(request: HttpRequest) -> HttpResponseBase:
        match = request.resolver_match
        if match is None or match.func not in CROSS_ORIGIN:
            return await get_response(request)
        asks_first = "access-control-request-method" in request.headers
        preflight = request.method == "OPTIONS" and asks_first
        empty = HttpResponse(headers={"content-length": "0"})
        response = empty if preflight else await get_response(request)
        patch_vary_headers(response, ["origin"])
        origin, allowed = request.headers.get("origin"), settings.ALLOWED_ORIGINS
        if origin and ("*" in allowed or origin in allowed):
            response["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
            if request.method == "OPTIONS":
                for name, value in PREFLIGHT.items():
                    response[name] = value
        return response

    return respond


class _Middleware(Protocol):
    def process_request(self, request: HttpRequest, /) -> HttpResponseBase | None: ...
    def process_response(
        self, request: HttpRequest, response: HttpResponse, /
    ) -> HttpResponseBase: ...


class _Common(CommonMiddleware):
    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """An address of ours is whole; Django would look it up again."""
        return False


def _in_loop(middleware: Callable[[View], _Middleware], get_response: View) -> View:
    """A middleware that only computes; Django itself would run each of its methods in a thread."""
    its = middleware(get_response)

    async def respond(request: HttpRequest) -> HttpResponseBase:
        response = its.process_request(request) or await get_response(request)
        return its.process_response(request, cast("HttpResponse", response))

    return _catching(respond)


def _catching(get_response: View) -> View:
    """Exceptions, such as a host that is not allowed, become responses."""
    return cast("View", convert_exception_to_response(get_response))

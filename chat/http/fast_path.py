"""The HTTP API without Django's threads: its requests have no cookies, sessions or forms, and are
handled in the event loop. A page of history took 5.0 ms with a thread for each of Django's steps
around it, and takes 2.4 without.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from io import BytesIO
from typing import Any, Final, Protocol, cast

from corsheaders.middleware import CorsMiddleware
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.csp import ContentSecurityPolicyMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import resolve, set_script_prefix
from django.utils.decorators import async_only_middleware

from chat.http.bodies import SITE_BYTES, SMALL_BYTES, Body, BodyError, Message, Receive
from chat.http.endpoint import Call, refusal
from chat.protocol.frames import MAX_FRAME_BYTES

API: Final = (
    *("/connection/", "/publish", "/channels", "/schedules/"),
    *("/openapi.json", "/asyncapi.json"),
    *("/connections/", "/tokens/", "/bans"),
)

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
Send = Callable[[Message], Awaitable[None]]
END: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}


class Handler(ASGIHandler):
    """Django's, with bounds for bodies; for the API without request_started and request_finished,
    and from a request's head on."""

    request_class = Call

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        by_api = scope["path"].removeprefix(get_script_prefix(scope).rstrip("/")).startswith(API)
        with Body(scope, receive, MAX_FRAME_BYTES if by_api else SITE_BYTES) as body:
            refused = None
            if not by_api:
                try:
                    body.check()
                    await super().handle(scope, body.receive, send)
                    return
                except BodyError as error:
                    refused = error.with_traceback(None)  # it holds what came of the body
            await self._answer(scope, body, send, refused)

    async def _answer(
        self, scope: dict[str, Any], body: Body, send: Send, refused: BodyError | None
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
                request.incoming, request.refused = body, refused
                request.until_answered = until_answered
                answer = await self.run_get_response(request)
            response = cast("HttpResponse", answer)
            whole = await body.has_come()
            if whole and not response.streaming and len(response.content) <= SMALL_BYTES:
                await self.send_response(response, send)
                return
            if not whole:
                response["Connection"] = "close"
            await self.send_response(response, send_on)
            await body.drop()
            await send(END)


@async_only_middleware
def middleware(get_response: View) -> View:
    """Answers calls of the API, inside the middlewares that refuse hosts and add headers; other
    requests go on to the middlewares behind this one."""
    api = _in_loop(CommonMiddleware, _catching(_view))
    api = _catching(cast("View", CorsMiddleware(api)))
    api = _in_loop(SecurityMiddleware, _in_loop(ContentSecurityPolicyMiddleware, api))

    async def respond(request: HttpRequest) -> HttpResponseBase:
        ours = request.path_info.startswith(API) or _refused(request)
        return await (api if ours else get_response)(request)

    return respond


def _refused(request: HttpRequest) -> BodyError | None:
    return request.refused if isinstance(request, Call) else None


async def _view(request: HttpRequest) -> HttpResponseBase:
    if (error := _refused(request)) is not None:
        return refusal(error)
    request.resolver_match = match = resolve(request.path_info)
    response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    return response


class _Middleware(Protocol):
    def process_request(self, request: HttpRequest, /) -> HttpResponseBase | None: ...
    def process_response(
        self, request: HttpRequest, response: HttpResponse, /
    ) -> HttpResponseBase: ...


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

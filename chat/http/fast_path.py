"""The short way to the HTTP API's views: all of it in the event loop.

Programs call it, with no cookie, session or form, and its views read the database in threads of
their own. A page of history took 5.0 ms with a thread for each of Django's steps around it, and
takes 2.4 without, its caller's connection looked up once.
"""

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, Final, cast

from corsheaders.middleware import CorsMiddleware
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.csp import ContentSecurityPolicyMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import resolve, set_script_prefix
from django.utils.decorators import async_only_middleware
from django.utils.deprecation import MiddlewareMixin

API: Final = ("/connection/", "/publish", "/channels", "/schedules/")

Answering = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class Handler(ASGIHandler):
    """Django's; it sends no request_started and request_finished for the API, which are there to
    care for database connections of threads that the API does not use."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith(API):
            await super().handle(scope, receive, send)
            return
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, refused = self.create_request(scope, body)
            response = refused if request is None else await self.run_get_response(request)
            await self.send_response(cast("HttpResponseBase", response), send)


@async_only_middleware
def api(get_response: Answering) -> Answering:
    """Leaves the middlewares behind it to the other addresses. Around the API are those that refuse
    hosts and add headers, without a thread for each of their steps."""
    inner = _at_once(CommonMiddleware, _refusing(_view))
    with_origins = _refusing(cast("Answering", CorsMiddleware(inner)))
    whole = _at_once(SecurityMiddleware, _at_once(ContentSecurityPolicyMiddleware, with_origins))

    async def answered(request: HttpRequest) -> HttpResponseBase:
        is_api = request.path_info.startswith(API)
        return await (whole if is_api else get_response)(request)

    return answered


async def _view(request: HttpRequest) -> HttpResponseBase:
    request.resolver_match = match = resolve(request.path_info)
    answer: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    return answer


def _at_once(middleware: type[MiddlewareMixin], get_response: Answering) -> Answering:
    """As Django would run it, but in the event loop: it computes, and waits for nothing."""
    its: Any = middleware(get_response)

    async def answered(request: HttpRequest) -> HttpResponseBase:
        response = its.process_request(request) if hasattr(its, "process_request") else None
        if response is None:
            response = await get_response(request)
        return its.process_response(request, response)  # type: ignore[no-any-return]

    return _refusing(answered)


def _refusing(get_response: Answering) -> Answering:
    """What it raises, such as a host that is not allowed, becomes an answer."""
    return cast("Answering", convert_exception_to_response(get_response))

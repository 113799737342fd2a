"""The short way to the HTTP API's views."""

from collections.abc import Awaitable, Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve
from django.utils.decorators import async_only_middleware

API: Final = ("/connection/", "/publish", "/channels", "/schedules/")


@async_only_middleware
def api(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """Leaves out the middlewares behind it: programs call, with no cookie, session or form, and
    each of Django's own takes a thread or two for every request, 0.1 ms each."""

    async def answered(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API):
            return await get_response(request)
        request.resolver_match = match = resolve(request.path_info)
        answer: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        return answer

    return answered

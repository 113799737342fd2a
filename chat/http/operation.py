"""How every HTTP operation reads and answers: JSON whatever its Content-Type says, and one shape
for all refusals (protocol.md section 14)."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from msgspec import json

from chat.actions.connections import MAX_USER_AGENT_LENGTH
from chat.protocol.errors import HTTP_STATUS, ErrorCode, ProtocolError
from chat.protocol.frames import MAX_FRAME_BYTES
from chat.protocol.publication import Source, Trigger

JSON: Final = "application/json"

View = Callable[..., Coroutine[Any, Any, HttpResponse]]


def door(*methods: str, allow: str | None = None) -> Callable[[View], View]:
    """A view of the HTTP API: needs no CSRF token, refuses other methods, tells refusals in JSON.

    `allow` is what the header Allow says, where that is more than `methods`.
    """

    def wrap(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        async def answered(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
            if request.method not in methods:
                response = refusal(invalid(f"Use {' or '.join(methods)}."), status=405)
                response["Allow"] = allow or ", ".join(methods)
                return response
            try:
                return await view(request, *args, **kwargs)
            except ProtocolError as error:
                return refusal(error)

        return answered

    return wrap


def body_of(request: HttpRequest) -> str:
    """Raises INVALID_REQUEST, DATA_TOO_LARGE."""
    if int(request.headers.get("Content-Length") or 0) > MAX_FRAME_BYTES:
        raise too_large()
    try:
        body = request.body
    except RequestDataTooBig:
        raise too_large() from None
    if len(body) > MAX_FRAME_BYTES:
        raise too_large()
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise invalid(f"The body is not UTF-8: {error}.") from None


def query_of(request: HttpRequest) -> QueryDict:
    """Raises INVALID_REQUEST."""
    try:
        return request.GET
    except TooManyFieldsSent:
        raise invalid("The query has too many fields.") from None


def source_of(request: HttpRequest, trigger: Trigger, connection_id: str = "") -> Source:
    """Who asks, as backend events say it."""
    address = request.META.get("REMOTE_ADDR") or ""
    agent = request.headers.get("User-Agent", "").replace("\0", "")
    return Source(trigger, connection_id, address, agent[:MAX_USER_AGENT_LENGTH])


def answer(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(body, status=status, content_type=JSON)


def refusal(error: ProtocolError, status: int | None = None) -> HttpResponse:
    """The JSON answer to a refused call, with the status that goes with its code."""
    body = json.encode({"error": {"code": error.code, "message": error.message}})
    response = answer(body, status or HTTP_STATUS.get(error.code, 403))
    if error.code is ErrorCode.INVALID_API_KEY:
        response["WWW-Authenticate"] = "Bearer"
    return response


def invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_REQUEST, message)


def too_large() -> ProtocolError:
    return ProtocolError(
        ErrorCode.DATA_TOO_LARGE, f"The body takes more than {MAX_FRAME_BYTES} bytes."
    )

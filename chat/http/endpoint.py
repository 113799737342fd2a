"""One endpoint of the HTTP API: how its request is read and answered (protocol.md section 14).
Bodies are JSON whatever their Content-Type says; every refusal has the same shape.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Concatenate

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from msgspec import json, structs

from chat.actions.connections import MAX_USER_AGENT_LENGTH
from chat.protocol.errors import HTTP_STATUS, ErrorCode, ProtocolError
from chat.protocol.frames import MAX_FRAME_BYTES
from chat.protocol.publication import Receipt, Source, Trigger

type View[**P] = Callable[Concatenate[HttpRequest, P], Awaitable[HttpResponse]]
type Endpoint[**P] = Callable[Concatenate[HttpRequest, P], Coroutine[None, None, HttpResponse]]


def endpoint[**P](*methods: str, allow: str | None = None) -> Callable[[View[P]], Endpoint[P]]:
    """Makes a view an endpoint: no CSRF token, these methods only, ProtocolErrors become answers.
    `allow` is the header Allow where it has more than `methods`."""

    def decorate(view: View[P]) -> Endpoint[P]:
        @csrf_exempt
        @wraps(view)
        async def endpoint(
            request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponse:
            if request.method not in methods:
                response = refusal(invalid(f"Use {' or '.join(methods)}."), status=405)
                response["Allow"] = allow or ", ".join(methods)
                return response
            try:
                return await view(request, *args, **kwargs)
            except ProtocolError as error:
                return refusal(error)

        return endpoint

    return decorate


def body_of(request: HttpRequest) -> str:
    """Raises INVALID_REQUEST, DATA_TOO_LARGE."""
    try:
        declared = int(request.headers.get("Content-Length") or 0)
        body = request.body if declared <= MAX_FRAME_BYTES else None
    except RequestDataTooBig:
        body = None
    if body is None or len(body) > MAX_FRAME_BYTES:
        message = f"The body takes more than {MAX_FRAME_BYTES} bytes."
        raise ProtocolError(ErrorCode.DATA_TOO_LARGE, message)
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
    """The caller, as backend events name it."""
    address = request.META.get("REMOTE_ADDR") or ""
    agent = request.headers.get("User-Agent", "").replace("\0", "")
    return Source(trigger, connection_id, address, agent[:MAX_USER_AGENT_LENGTH])


def respond(body: bytes, status: int = 200) -> HttpResponse:
    """`body` is JSON."""
    return HttpResponse(body, status=status, content_type="application/json")


def accepted(receipt: Receipt, *, with_id: bool) -> HttpResponse:
    """202; a message's id only where the caller asked for it (`eagerIdGeneration`)."""
    return respond(json.encode(receipt if with_id else structs.replace(receipt, id=None)), 202)


def refusal(error: ProtocolError, status: int | None = None) -> HttpResponse:
    """The error, with the status that goes with its code."""
    body = json.encode({"error": {"code": error.code, "message": error.message}})
    response = respond(body, status or HTTP_STATUS.get(error.code, 403))
    if error.code is ErrorCode.INVALID_API_KEY:
        response["WWW-Authenticate"] = "Bearer"
    return response


def invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_REQUEST, message)

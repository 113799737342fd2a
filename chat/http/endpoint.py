"""One endpoint of the HTTP API: how its request is read and answered (protocol.md section 14).
Bodies are JSON whatever their Content-Type says; every refusal has the same shape.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import wraps
from typing import Concatenate, Final

from django.core.exceptions import TooManyFieldsSent
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from msgspec import json, structs

from chat.actions.connections import MAX_USER_AGENT_LENGTH
from chat.counts import HTTP, counts
from chat.http.bodies import Body, BodyError
from chat.protocol.errors import HTTP_STATUS, ErrorCode, ProtocolError
from chat.protocol.publication import Acknowledged, Receipt, Source, Trigger


class Call(ASGIRequest):
    """A request as `chat.http.fast_path` passes it on: from its head on, its body under way."""

    incoming: Body
    by_us = False  # past the project's middleware
    refused: BodyError | None = None  # that it is answered by, whatever it asks for
    ack: str | None = None  # of a client's operation, once its body has been read
    about: Mapping[str, object] = {}  # what it is about, for the log
    until_answered: AsyncExitStack  # ends when the answer has left


type View[**P] = Callable[Concatenate[Call, P], Awaitable[HttpResponse]]
type Endpoint[**P] = Callable[Concatenate[Call, P], Coroutine[None, None, HttpResponse]]

ENDPOINTS: Final[set[object]] = set()
"""The views of the API, which `chat.http.fast_path` calls."""
CROSS_ORIGIN: Final[set[object]] = set()
"""Those of them that pages of ALLOWED_ORIGINS may call."""
NEEDS_ASGI: Final = "The server of this address speaks no ASGI: run `manage.py serve`."


def of_api[View: Callable[..., object]](view: View) -> View:
    ENDPOINTS.add(view)
    return view


def endpoint[**P](
    *methods: str, allow: str | None = None, cross_origin: bool = False
) -> Callable[[View[P]], Endpoint[P]]:
    """Makes a view an endpoint: no CSRF token, these methods only, ProtocolErrors become answers.
    `allow` is the header Allow where it has more than `methods`."""

    def decorate(view: View[P]) -> Endpoint[P]:
        @of_api
        @csrf_exempt
        @wraps(view)
        async def endpoint(request: Call, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not (isinstance(request, Call) and request.by_us):
                return refusal(ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, NEEDS_ASGI))
            if request.method not in methods:
                response = refusal(invalid(f"Use {' or '.join(methods)}."), status=405)
                response["Allow"] = allow or ", ".join(methods)
                return response
            try:
                request.incoming.check()
                response = await view(request, *args, **kwargs)
            except ProtocolError as error:
                await request.until_answered.aclose()  # a refusal holds up no other call
                response = refusal(error, ack=request.ack)
            return response

        if cross_origin:
            CROSS_ORIGIN.add(endpoint)
        return endpoint

    return decorate


async def body_of(request: Call) -> str:
    """Raises INVALID_REQUEST, DATA_TOO_LARGE."""
    try:
        return (await request.incoming.read()).decode()
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
    agent = request.META.get("HTTP_USER_AGENT", "").replace("\0", "")
    return Source(trigger, connection_id, address, agent[:MAX_USER_AGENT_LENGTH])


def respond(body: bytes, status: int = 200) -> HttpResponse:
    """`body` is JSON."""
    return HttpResponse(body, status=status, content_type="application/json")


def accepted(receipt: Receipt, *, with_id: bool) -> HttpResponse:
    """202; a message's id only where the caller asked for it (`eagerIdGeneration`, `ack`), and no
    position, which belongs to the frames of a connection."""
    if isinstance(receipt, Acknowledged):
        receipt = structs.replace(receipt, position=None)
    elif not with_id:
        receipt = structs.replace(receipt, id=None)
    return respond(json.encode(receipt), 202)


def refusal(
    error: ProtocolError, status: int | None = None, ack: str | None = None
) -> HttpResponse:
    """The error, with the status that goes with its code, and the ack of what is refused."""
    counts.refusals[HTTP, error.code] += 1
    told = {"code": error.code, "message": error.message}
    body = json.encode({"error": told if ack is None else {**told, "ack": ack}})
    known = error.status if isinstance(error, BodyError) else HTTP_STATUS.get(error.code, 403)
    response = respond(body, status or known)
    if error.code is ErrorCode.INVALID_API_KEY:
        response["WWW-Authenticate"] = "Bearer"
    elif error.code is ErrorCode.RATE_LIMITED:
        response["Retry-After"] = "1"  # as handshakes say
    return response


def invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_REQUEST, message)

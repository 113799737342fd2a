"""The client HTTP API (protocol.md section 14), and the demo page.

Parses and answers; the verbs act. Bodies are JSON whatever their Content-Type says.
"""

import time
from typing import Final

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from msgspec import json

from chat import client_api, node
from chat.credentials import session_of
from chat.protocol.errors import HTTP_STATUS, ErrorCode, ProtocolError
from chat.protocol.frames import MAX_FRAME_BYTES

JSON: Final = "application/json"


@require_safe
async def demo(request: HttpRequest) -> HttpResponse:
    """The page with two chat windows."""
    if not settings.DEMO:
        raise Http404
    return render(request, "chat/demo.html")


@csrf_exempt
async def client_operation(request: HttpRequest, operation: str) -> HttpResponse:
    """`POST /connection/<operation>?connectionId=…&connectionSecret=…`."""
    try:
        return await _operate(request, operation)
    except ProtocolError as error:
        return refusal(error)


async def _operate(request: HttpRequest, operation: str) -> HttpResponse:
    act = client_api.OPERATIONS.get(operation)
    if act is None:
        return refusal(invalid("There is no such operation."), status=404)
    if request.method != "POST":
        response = refusal(invalid("Use POST."), status=405)
        response["Allow"] = "POST, OPTIONS"
        return response
    limit = settings.CLIENT_FRAMES_PER_SECOND
    here = await node.current()
    session = await session_of(here, *_credentials(request))
    if not here.call_rates.of(session.connection_id, limit).allows(time.monotonic()):
        raise ProtocolError(ErrorCode.RATE_LIMITED, f"More than {limit} calls a second.")
    answer = await act(here, session, _body(request))
    return HttpResponse(answer.body, status=answer.status, content_type=JSON)


def _credentials(request: HttpRequest) -> tuple[str, str]:
    """The connection's id and secret as the query has them; "" where it has none."""
    try:
        query = request.GET
    except TooManyFieldsSent:
        raise invalid("The query has too many fields.") from None
    return query.get("connectionId", ""), query.get("connectionSecret", "")


def _body(request: HttpRequest) -> str:
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


def refusal(error: ProtocolError, status: int | None = None) -> HttpResponse:
    """The JSON answer to a refused call, with the status that goes with its code."""
    body = json.encode({"error": {"code": error.code, "message": error.message}})
    return HttpResponse(body, status=status or HTTP_STATUS.get(error.code, 403), content_type=JSON)


def invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_REQUEST, message)


def too_large() -> ProtocolError:
    return ProtocolError(
        ErrorCode.DATA_TOO_LARGE, f"The body takes more than {MAX_FRAME_BYTES} bytes."
    )

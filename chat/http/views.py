"""The client HTTP API (protocol.md section 14), and the demo page.

Parses and answers; the verbs act.
"""

import time

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chat.conf import settings
from chat.http import client_api
from chat.http.credentials import session_of
from chat.http.operation import answer, body_of, door, invalid, query_of, refusal, source_of
from chat.protocol import frames
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.runtime import node
from tokens.conf import settings as token_settings


@require_safe
async def demo(request: HttpRequest) -> HttpResponse:
    """The page with two chat windows."""
    if not token_settings.DEMO:
        raise Http404
    return render(request, "chat/demo.html")


@door("POST", allow="POST, OPTIONS")
async def client_operation(request: HttpRequest, operation: str) -> HttpResponse:
    """`POST /connection/<operation>?connectionId=…&connectionSecret=…`."""
    act = client_api.OPERATIONS.get(operation)
    if act is None:
        return refusal(invalid("There is no such operation."), status=404)
    body, (connection_id, secret) = body_of(request), _credentials(request)
    here = await node.current()
    _, channel = frames.outline(body)
    session = await session_of(here, connection_id, secret, channel)
    limit = settings.CLIENT_FRAMES_PER_SECOND
    if not here.call_rates.of(session.connection_id, limit).allows(time.monotonic()):
        raise ProtocolError(ErrorCode.RATE_LIMITED, f"More than {limit} calls a second.")
    caller = session.seen_from(source_of(request, "client.http", connection_id))
    answered = await act(here, caller, body)
    return answer(answered.body, answered.status)


def _credentials(request: HttpRequest) -> tuple[str, str]:
    """The connection's id and secret as the query has them; "" where it has none."""
    query = query_of(request)
    return query.get("connectionId", ""), query.get("connectionSecret", "")

"""Whether this process is up, and whether it can do its work (protocol.md section 1).

Its middleware is the first: probes come from inside, without TLS and by no ALLOWED_HOST.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from channels.layers import get_channel_layer
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.decorators import async_only_middleware
from django.views.decorators.http import require_safe

from chat.fanout.hub import BrokerStatus
from chat.runtime import node as nodes

log = logging.getLogger("chat.http.health")

PROBE_SECONDS: Final = 2  # for each part to answer

# One thread of its own: a database that hangs holds up no other work.
_thread = ThreadPoolExecutor(1, "readyz")

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def middleware(get_response: View) -> View:
    async def respond(request: HttpRequest) -> HttpResponseBase:
        return await VIEWS.get(request.path_info, get_response)(request)

    return respond


@require_safe
async def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """503 with a sentence for each part that is missing and needed; else 200, `degraded` where the
    other processes cannot be reached: each serves its own clients, and finds what others store."""
    node = nodes.running()
    database, broker = await asyncio.gather(
        _probe("database", asyncio.get_running_loop().run_in_executor(_thread, _database)),
        _probe("channel layer", _channel_layer(node)),
    )
    draining = "The server is shutting down." if node is not None and node.draining else ""
    if problems := [problem for problem in (database, draining) if problem]:
        return JsonResponse({"status": "unavailable", "problems": problems}, status=503)
    if broker:
        return JsonResponse({"status": "degraded", "problems": [broker]})
    return JsonResponse({"status": "ok"})


VIEWS: Final[dict[str, View]] = {"/healthz": healthz, "/readyz": readyz}


async def _probe(part: str, probe: Awaitable[str]) -> str:
    """What is wrong, or "". The log has the reason: an address may be in it."""
    try:
        return await asyncio.wait_for(probe, PROBE_SECONDS)
    except TimeoutError:
        return f"The {part} did not answer within {PROBE_SECONDS} s."
    except Exception:  # drivers raise whatever they like
        log.warning("The %s does not answer", part, exc_info=True)
        return f"The {part} does not answer."


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ""
    finally:
        connection.close()


async def _channel_layer(node: nodes.Node | None) -> str:
    layer = get_channel_layer()
    if layer is None:
        return "There is no channel layer."
    # A group without members: Redis must answer, and nothing is left behind.
    await layer.group_send("readyz", {"type": "probe"})
    status = node.hub.broker.status if node is not None else None
    return "Other processes are not heard yet." if status is BrokerStatus.DISCONNECTED else ""

"""Whether this process is up, and whether it can do its work (protocol.md section 1).

Answered before any other middleware: who asks comes from inside, by an address that is no
ALLOWED_HOST and without TLS.
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

from chat.fanout.hub import BrokerStatus
from chat.runtime import node

log = logging.getLogger("chat.http.health")

PROBE_SECONDS: Final = 2
"""How long each part may take to answer."""

# One thread of its own: a database that hangs holds up no other work, and the probes that come
# meanwhile wait here and give up.
_thread = ThreadPoolExecutor(1, "readyz")


async def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; asks nothing else of anyone."""
    return JsonResponse({"status": "ok"})


async def readyz(request: HttpRequest) -> JsonResponse:
    """503 and a sentence for each part that it cannot work without; else 200, `degraded` where
    other processes cannot be told at this moment: then each works for its own clients, and finds
    what the others store."""
    needed = {"database": _database(), "server": _server()}
    *answers, linked = await asyncio.gather(
        *(_probe(part, probe) for part, probe in needed.items()),
        _probe("channel layer", _channel_layer()),
    )
    if problems := [answer for answer in answers if answer]:
        return JsonResponse({"status": "unavailable", "problems": problems}, status=503)
    if linked:
        return JsonResponse({"status": "degraded", "problems": [linked]})
    return JsonResponse({"status": "ok"})


async def _probe(part: str, probe: Awaitable[str]) -> str:
    """Empty, or what is wrong. Why exactly is for the log: an address may be in it."""
    try:
        return await asyncio.wait_for(probe, PROBE_SECONDS)
    except TimeoutError:
        return f"The {part} did not answer within {PROBE_SECONDS} s."
    except Exception:  # drivers raise whatever they like
        log.warning("The %s does not answer", part, exc_info=True)
        return f"The {part} does not answer."


async def _database() -> str:
    await asyncio.get_running_loop().run_in_executor(_thread, _select)
    return ""


def _select() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


async def _channel_layer() -> str:
    layer = get_channel_layer()
    if layer is None:
        return "There is no channel layer."
    # A group without members: Redis must answer, and nothing is left behind.
    await layer.group_send("readyz", {"type": "probe"})
    running = node.running()
    lost = running is not None and running.hub.broker.status is BrokerStatus.DISCONNECTED
    return "Other processes cannot be reached yet." if lost else ""


async def _server() -> str:
    running = node.running()
    return "The server is shutting down." if running is not None and running.draining else ""


VIEWS = {"/healthz": healthz, "/readyz": readyz}

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def probes(get_response: View) -> View:
    """The middleware that answers them."""

    async def answer(request: HttpRequest) -> HttpResponseBase:
        return await VIEWS.get(request.path_info, get_response)(request)

    return answer

"""Whether this process is up, and whether it can do its work (protocol.md section 1)."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final, NamedTuple

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from chat.conf import settings
from chat.fanout.broker import BrokerStatus
from chat.http.metrics import metrics
from chat.protocol.errors import ProtocolError
from chat.runtime import node as nodes
from chat.store.databases import reason
from chat.store.operations.probe import Probe

log = logging.getLogger("chat.http.health")

PROBE_SECONDS: Final = 2  # for each part to answer
LOOK_SECONDS: Final = 1  # between two looks, whoever asks
RECENT_SECONDS: Final = 5  # since a write was refused for what the database lacks

UNHEARD: Final[dict[BrokerStatus | None, str]] = {
    BrokerStatus.DISCONNECTED: "Other processes are not heard yet.",
    BrokerStatus.POLLING: "LISTEN brings nothing: set BROKER_URL to PostgreSQL's own address.",
}


@require_safe
async def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """503 with a sentence for each part that is missing and needed; else 200, `degraded` where the
    other processes cannot be reached (each serves its own clients, and finds what others store) or
    a background task does not run."""
    node = nodes.running()
    if node is not None and node.ending:
        problems = Problems(["The server is shutting down."], [])
    else:
        problems = await asyncio.shield(_look())
    if problems.unavailable:
        answer = {"status": "unavailable", "problems": problems.unavailable}
        return JsonResponse(answer, status=503)
    if problems.degraded:
        return JsonResponse({"status": "degraded", "problems": problems.degraded})
    return JsonResponse({"status": "ok"})


PROBES: Final[frozenset[object]] = frozenset({healthz, readyz, metrics})
"""Probes and Prometheus come from inside, without TLS and by no ALLOWED_HOST."""


class Problems(NamedTuple):
    unavailable: list[str]
    degraded: list[str]


_looking: "asyncio.Task[Problems] | None" = None  # the last look
_begun = 0.0  # by its loop's clock
_said: set[str] = set()  # of the problems that the log has named, those that last


def _look() -> "asyncio.Task[Problems]":
    """One for all who ask within LOOK_SECONDS, or while it lasts."""
    global _looking, _begun
    loop = asyncio.get_running_loop()
    look, old = _looking, loop.time() - _begun >= LOOK_SECONDS
    if look is None or look.get_loop() is not loop or (old and look.done()):
        look = _looking = loop.create_task(_find_problems())
        _begun = loop.time()
    return look


async def _find_problems() -> Problems:
    database, broker = await asyncio.gather(
        _probe("The database", "take a write", _write()), _probe("Redis", "answer", _redis())
    )
    _said.intersection_update({database, broker})
    node = nodes.running()
    background = node.background.problems() if node is not None else []
    return Problems([*filter(None, [database])], [*filter(None, [broker]), *background])


async def _probe(part: str, does: str, probe: Awaitable[str]) -> str:
    """What is wrong, or "". The log says it once, with the cause: an address may be in it."""
    try:
        return await asyncio.wait_for(probe, PROBE_SECONDS)
    except TimeoutError as error:
        cause: BaseException = error
        problem = f"{part} did not {does} within {PROBE_SECONDS} s."
    except ProtocolError as error:
        cause = error.__cause__ or error
        problem = reason(cause) or f"{part} does not answer."
    except Exception as error:  # drivers raise whatever they like
        cause = error
        problem = f"{part} does not answer."
    if problem not in _said:
        _said.add(problem)
        log.warning("Not ready: %s (%s)", problem, str(cause) or type(cause).__name__)
    return problem


async def _write() -> str:
    """Through the writer, as all that is stored. On a full disk a small row may still find a place
    where others have just found none."""
    node = await nodes.current()
    await node.writer.submit(Probe(node.id))
    recent = node.loop.time() - node.writer.refused_at < RECENT_SECONDS
    return node.writer.refused_for if recent else ""


async def _redis() -> str:
    """And what the broker says of itself, whichever it is."""
    if settings.REDIS_URL:
        from chat.cluster.redis_layer import channel_layer  # with Redis' client

        # A group without members: Redis must answer, and nothing is left behind.
        await channel_layer().group_send("readyz", {"type": "probe"})
    node = nodes.running()
    status = node.hub.broker.status if node is not None else None
    return UNHEARD.get(status, "")

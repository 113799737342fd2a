"""Who is told of backend events once their change is committed: functions of this process, and the
webhook's worker.

Functions are connected to `backend_event` (docs/webhooks.md). They are called in the order of the
commits, in one thread of their own, so that the slowest delays neither the writer nor the loop.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

from django.db import connections
from django.dispatch import Signal

from chat.conf import settings
from chat.store.reports import Report

log = logging.getLogger("chat.receivers")

WAITING: Final = 10_000  # events for the functions; what comes on top is dropped

Waker = Callable[[Sequence[Report]], None]

backend_event = Signal()
wakers: set[Waker] = set()
"""Called in the thread that committed, where rows for the webhook were written."""


def listening() -> bool:
    """Whether anybody is to be told; where not, nothing is encoded and nothing written."""
    return bool(settings.WEBHOOK_URL or backend_event.receivers)


def tell(reports: Sequence[Report]) -> None:
    """Called after the commit, in the thread that committed. Never waits, never raises: what is
    committed must not look as if it had failed."""
    try:
        for wake in tuple(wakers):
            wake(reports)
        if backend_event.receivers:
            _calls.put(reports)
    except Exception:  # the outermost edge
        log.exception("%d events were told to nobody here", len(reports))


class Calls:
    """The thread in which functions are called, begun with the first event."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Report] = queue.Queue(WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, reports: Sequence[Report]) -> None:
        for at, report in enumerate(reports):
            try:
                self._queue.put_nowait(report)
            except queue.Full:
                log.error("%d events dropped: their receivers are slower", len(reports) - at)
                break
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="receivers", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            report = self._queue.get()
            backend_event.send_robust(sender=Report, event=report)  # logs what they raise
            if self._queue.empty():
                connections.close_all()  # theirs; a pool would run dry


_calls = Calls()

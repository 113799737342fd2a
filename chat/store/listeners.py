"""Who is notified of a commit: the webhook's sender, the scheduler, and receivers of backend events
(docs/webhooks.md). Those are called in the order of the commits, in one thread of their own: the
slowest one delays neither the writer nor the event loop.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence, Set
from typing import Final

from django.db import connections
from django.dispatch import Signal

from chat.conf import settings
from chat.store.reports import Report

log = logging.getLogger("chat.receivers")

MAX_QUEUED: Final = 10_000  # events for the receivers; what comes on top is dropped

backend_event = Signal()
# Called in the thread that committed; they must not wait.
report_listeners: set[Callable[[Sequence[Report]], object]] = set()
schedule_listeners: set[Callable[[float], object]] = set()
"""With the seconds until what was scheduled is due: the scheduler need not poll the database."""


def listening() -> bool:
    """Whether anybody wants backend events; if not, none is encoded or written."""
    return bool(settings.WEBHOOK_URL or backend_event.receivers)


def notify(reports: Sequence[Report]) -> None:
    """Called after the commit."""
    _call(report_listeners, reports)
    if backend_event.receivers:
        _call({_receivers.put}, reports)


def notify_scheduled(seconds: float) -> None:
    """As `notify`, where something was scheduled that is due in so many seconds."""
    _call(schedule_listeners, seconds)


def _call[T](listeners: Set[Callable[[T], object]], value: T) -> None:
    """Never raises: what is committed must not look as if it had failed."""
    for listener in tuple(listeners):
        try:
            listener(value)
        except Exception:  # the outermost edge
            log.exception("A listener failed after the commit")


class ReceiverThread:
    """The thread that calls the receivers. It starts with the first event."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Report] = queue.Queue(MAX_QUEUED)
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


_receivers = ReceiverThread()

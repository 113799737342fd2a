"""Backend events: what the application's own backend is sent (protocol.md section 16), and who is
notified of them after the commit: the webhook's sender, and receivers (docs/webhooks.md). Those
are called in the order of the commits, in one thread of their own: the slowest one delays neither
the writer nor the event loop.
"""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from django.db import connections
from django.dispatch import Signal
from msgspec import Raw, json

from chat.conf import settings
from chat.protocol import events, ids
from chat.protocol.publication import Source

log = logging.getLogger("chat.receivers")

MAX_QUEUED: Final = 10_000  # events for the receivers; what comes on top is dropped

backend_event = Signal()
# Sent in the thread that committed: their receivers must not wait.
committed = Signal()
"""With `reports`."""
scheduled = Signal()
"""With the `seconds` until what was scheduled is due: the scheduler need not poll the database."""

Time = datetime | str
"""A time as the database's driver takes and gives it: SQLite's is text, which compares as text."""


@dataclass(frozen=True)
class Report:
    """A backend event. `stream` is what keeps its order: a channel's name or a connection's id;
    `raw` is its data as JSON."""

    type: str
    data_type: str
    stream: str
    metadata: dict[str, str]
    raw: bytes

    @cached_property
    def id(self) -> str:
        """The `webhook-id`: the same at every attempt to deliver it."""
        return f"msg_{new_id()}"

    @cached_property
    def data(self) -> Any:
        """The data, parsed."""
        return json.decode(self.raw)

    @cached_property
    def body(self) -> bytes:
        """The whole event as JSON."""
        fields = {"source": "hotsock.v1", "type": self.type, "metadata": self.metadata}
        return json.encode({**fields, "data": Raw(self.raw), "dataType": self.data_type})


def request(source: Source | None) -> dict[str, str]:
    """The metadata about the request that made a change; "" where there was none."""
    return {
        "connectionId": source.connection_id if source else "",
        "sourceIp": source.address if source else "",
        "trigger": source.trigger if source else "",
        "userAgent": source.user_agent if source else "",
    }


def instant(moment: Time | None) -> str | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return None if moment is None else events.instant(moment)


def raw(text: bytes | str | None) -> Raw:
    """JSON that is sent as it is; null for None."""
    return Raw(text or b"null")


def new_id() -> str:
    return ids.new_id(int(time.time() * 1000))


def listening() -> bool:
    """Whether anybody wants backend events; if not, none is encoded or written."""
    return bool(settings.WEBHOOK_URL or backend_event.receivers)


class ReceiverThread:
    """The thread that calls the receivers. It starts with the first event."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Report] = queue.Queue(MAX_QUEUED)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, reports: Sequence[Report], **kwargs: object) -> None:
        if not backend_event.receivers:
            return
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
        waiting = self._queue  # its own: tests give the next thread another
        while True:
            report = waiting.get()
            backend_event.send_robust(sender=Report, event=report)  # logs what they raise
            if waiting.empty():
                connections.close_all()  # theirs; a pool would run dry


_receivers = ReceiverThread()
committed.connect(_receivers.put)

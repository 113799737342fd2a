"""What this process tells the live page (docs/admin.md): a sample of its numbers each
SAMPLE_SECONDS, kept for an hour in memory, and sent on a channel of the server's own while somebody
looks. Writes no row; sends nothing while nobody looks.

The channel's name has white space in it: no client, token or call of the API can name it. Only a
connection that a ticket has opened is subscribed to it (`chat/actions/live.py`).
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from operator import sub
from typing import Final

from msgspec import Raw, Struct, json

from chat.cluster.leases import HOST
from chat.counts import SECONDS, counts
from chat.fanout.announcements import Ephemeral
from chat.fanout.hub import Hub
from chat.logs import last_warnings
from chat.protocol import events
from chat.runtime.background import BackgroundTasks
from chat.runtime.connection import Connections
from chat.store.writer import Writer

log = logging.getLogger("chat.live")

LIVE: Final = "live page"
EVENT: Final = "process"
LOOKED_AT: Final = "live page looked at"  # a notification, as it is on the wire

SAMPLE_SECONDS: Final = 10.0
SAMPLES: Final = 360  # an hour
CHECK_SECONDS: Final = 1.0
TELL_SECONDS: Final = 20.0  # how often the other processes are told that somebody still looks
LOOKED_SECONDS: Final = 60.0  # so long that counts
CHANNELS: Final = 10
P99: Final = 0.99


class Sample(Struct, array_like=True, frozen=True):
    """`at` is by the process's own clock, in seconds; the rates are since the sample before."""

    at: float
    connections: int
    subscriptions: int
    received: float  # messages of clients a second
    sent: float  # frames to clients a second
    publish_ms: float | None  # p99 from a publish until it is handed over; None: none was timed
    unsent: int  # bytes that wait for clients that read slowly
    uncommitted: int  # bytes of operations
    backlog: int  # bytes that wait for the broker
    refused: float  # a minute
    lag_ms: float | None  # p99 of the event loop's delays


class Totals(Struct, frozen=True):
    """What has been counted until a moment."""

    at: float
    received: int
    sent: float
    refused: int
    publish: list[int]  # in each bucket of SECONDS
    lag: list[int]


class LivePage:
    """`notify` reaches the other processes."""

    def __init__(
        self,
        node_id: str,
        hub: Hub,
        connections: Connections,
        writer: Writer,
        background: BackgroundTasks,
        notify: Callable[..., None],
    ) -> None:
        self._about = {"id": node_id, "host": HOST, "pid": os.getpid()}
        self._hub = hub
        self._connections = connections
        self._writer = writer
        self._background = background
        self._notify = notify
        self._kept: deque[Raw] = deque(maxlen=SAMPLES)
        self._before = _totals(began := _now())
        self._viewers: frozenset[str] = frozenset()  # of this process
        self._looked_until = -inf
        self._has_new = False  # somebody new looks, and has not been sent all
        self._sent_all_at = self._told_at = -inf
        self._ranked_at = began
        self._busiest: list[tuple[str, float, int]] = []  # name, messages a second, subscribers
        self.asked = asyncio.Event()

    def look(self, is_new: bool) -> None:
        """Somebody looks, here or in another process; who `is_new` needs the whole hour."""
        self._looked_until = _now() + LOOKED_SECONDS
        if is_new:
            self._has_new = True
            self.asked.set()

    async def check(self) -> float:
        """Takes the sample that is due, and sends what somebody looks at. Returns the seconds until
        it is to be called again; before, once `asked` is set."""
        try:
            self._check()
        except Exception:  # the outermost edge: a page for people must not end the process
            log.exception("The live page could not be told")
            return SAMPLE_SECONDS
        return CHECK_SECONDS

    def _check(self) -> None:
        now = _now()
        self._see_viewers(now)
        totals = _totals(now)
        is_due = _is_past(self._before.at, now)
        if is_due:
            self._kept.append(Raw(json.encode(self._sample(totals))))
            self._before = totals
        if now < self._looked_until:
            if _is_past(self._ranked_at, now):
                self._rank(now)
            if self._has_new and now - self._sent_all_at >= CHECK_SECONDS:
                self._has_new, self._sent_all_at = False, now
                self._send([*self._kept, Raw(json.encode(self._sample(totals)))])
            elif is_due:
                self._send([self._kept[-1]])

    def _see_viewers(self, now: float) -> None:
        viewers = self._hub.subscribers(LIVE)
        is_new = bool(viewers - self._viewers)
        self._viewers = viewers
        if viewers:
            self.look(is_new)
            if is_new or now - self._told_at >= TELL_SECONDS:
                self._told_at = now
                self._notify(LOOKED_AT, is_new)

    def _sample(self, totals: Totals) -> Sample:
        before, broker = self._before, self._hub.broker
        seconds = max(totals.at - before.at, 0.001)
        return Sample(
            round(totals.at, 1),
            len(self._connections),
            self._hub.subscriptions(),
            round((totals.received - before.received) / seconds, 1),
            round((totals.sent - before.sent) / seconds, 1),
            _ms([*map(sub, totals.publish, before.publish)]),
            sum(self._connections.unsent()),
            self._writer.waiting_bytes,
            broker.backlog,
            round((totals.refused - before.refused) / seconds * 60, 1),
            _ms([*map(sub, totals.lag, before.lag)]),
        )

    def _rank(self, now: float) -> None:
        """By what was delivered since the last time: where nobody has looked, long ago."""
        seconds = max(now - self._ranked_at, 0.001)
        self._ranked_at = now
        busiest = self._hub.busiest(CHANNELS + 1)
        self._busiest = [
            (name, round(number / seconds, 1), subscribers)
            for name, number, subscribers in busiest
            if name != LIVE
        ][:CHANNELS]

    def _send(self, samples: Sequence[Raw]) -> None:
        data = {
            **self._about,
            "samples": samples,
            "tasks": self._background.states(),
            "channels": self._busiest,
            "warnings": last_warnings.last(),
        }
        event = events.encoded(json.encode({"event": EVENT, "channel": LIVE, "data": data}))
        self._hub.announce(Ephemeral(LIVE, 0, [event.frame]))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_past(at: float, now: float) -> bool:
    """Whether that was SAMPLE_SECONDS ago, as near as checks come to it."""
    return now - at > SAMPLE_SECONDS - CHECK_SECONDS / 2


def _totals(now: float) -> Totals:
    publish = counts.ephemeral_seconds.counts, counts.stored_seconds.counts
    return Totals(
        now,
        counts.ephemeral + counts.stored + counts.scheduled,
        counts.fan_out.sum + counts.held + counts.replies,
        sum(counts.refusals.values()),
        [sum(both) for both in zip(*publish, strict=True)],
        counts.loop_lag_seconds.counts.copy(),
    )


def _ms(buckets: Sequence[int]) -> float | None:
    """The 99th percentile of values in these buckets of SECONDS, in milliseconds, as if those of a
    bucket were spread evenly; above the last bound, that bound. None: there are no values."""
    wanted = sum(buckets) * P99
    if not wanted:
        return None
    below = 0.0
    for bound, number in zip(SECONDS, buckets, strict=False):
        if number >= wanted:
            return round((below + (bound - below) * wanted / number) * 1e3, 2)
        wanted -= number
        below = bound
    return below * 1e3

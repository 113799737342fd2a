"""What this process counts: plain numbers, which grow where things happen and which
`chat/runtime/metrics.py` reads (docs/metrics.md).

On the path of a message a count is an integer that grows (`python -m benchmarks.counting`); what
costs more is measured of a batch, or of one message in SAMPLE.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

SAMPLE: Final = 64
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OPERATIONS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SUBSCRIBERS: Final = tuple((1 << bits) - 1 for bits in range(21))
"""So that the bucket of a number is its `bit_length()`. A process has no more descriptors."""

WEBSOCKET: Final = "websocket"
HTTP: Final = "http"
ACCEPTED: Final = "accepted"
STATUSES: Final = ("401", "403", "429", "503")  # of handshakes that are refused


class Histogram:
    """How many values were at most each of `bounds`, and above the one before; the last count is of
    those above all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def since(self, began: float) -> None:
        """The seconds since then, by the monotonic clock."""
        self.observe(time.monotonic() - began)


def _seconds() -> Histogram:
    return Histogram(SECONDS)


def _zeros(*keys: str) -> Counter[str]:
    return Counter(dict.fromkeys(keys, 0))


@dataclass(slots=True, eq=False)
class Counts:
    # --- connections ------------------------------------------------------------------------
    # What may become an alert is there before it first happens: its rise from 0 would be missed.
    handshakes: Counter[str] = field(default_factory=partial(_zeros, ACCEPTED, *STATUSES))
    turned_away: int = 0  # sockets
    closes: Counter[int] = field(default_factory=Counter)  # by the server; by close code
    left: int = 0  # connections that their client or the network has ended
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)  # WEBSOCKET or HTTP; code

    # --- frames -----------------------------------------------------------------------------
    ephemeral: int = 0  # messages of clients
    stored: int = 0
    scheduled: int = 0
    commands: Counter[str] = field(default_factory=Counter)  # other frames, by what they ask for
    fan_out: Histogram = field(default_factory=partial(Histogram, SUBSCRIBERS))  # of each message
    held: int = 0  # frames that were held back for one subscriber, and sent
    replies: int = 0
    ephemeral_seconds: Histogram = field(default_factory=_seconds)  # of one in SAMPLE
    stored_seconds: Histogram = field(default_factory=_seconds)  # of the oldest of each batch
    gap_repairs: int = 0

    # --- the database -----------------------------------------------------------------------
    batch_operations: Histogram = field(default_factory=partial(Histogram, OPERATIONS))
    commit_seconds: Histogram = field(default_factory=_seconds)
    refused: Counter[str] = field(
        default_factory=partial(_zeros, "unavailable", "locked", "full", "failed")
    )
    parked: Counter[str] = field(default_factory=partial(_zeros, "scheduled", "outbox", "webhook"))

    # --- this process and the others --------------------------------------------------------
    broker_failures: int = 0
    broker_dropped: Counter[str] = field(
        default_factory=partial(_zeros, "full", "unsent", "version", "checksum", "malformed")
    )
    lease_losses: int = 0
    takeovers: int = 0
    task_failures: Counter[str] = field(default_factory=partial(_zeros, "writer"))  # by name
    loop_lag_seconds: Histogram = field(default_factory=_seconds)


counts: Final = Counts()

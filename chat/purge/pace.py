"""How many rows a transaction takes and how long the pause after it is. Arithmetic only."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

FIRST_ROWS: Final = 20
GROWTH: Final = (0.5, 1.5)
"""By what factors the number of rows may change from one transaction to the next."""

LOOKS: Final = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05)
"""How long a writer of SQLite sleeps each time it finds the database locked (its busy handler)."""
LAST_LOOKS: Final = 0.1
LATE: Final = 1.25
"""By how much a sleep may be longer than it was asked to be."""


def next_look(held: float) -> float:
    """How long to leave SQLite alone after having held it for so many seconds.

    Whoever began to wait meanwhile has waited `held` at most, so it sleeps no longer than the
    sleep in which that ends: in a pause of this length it looks, and gets in.
    """
    waited = zip(LOOKS, accumulate(LOOKS), strict=True)
    return LATE * next((sleep for sleep, until in waited if until >= held), LAST_LOOKS)


@dataclass(frozen=True, slots=True)
class Tempo:
    """`hold`: the seconds that a transaction may take. `rest`: the pause after it, as a multiple
    of the time for which it kept the disk busy. `checkpoint`: after how many transactions SQLite's
    log is moved into its file.
    """

    hold: float
    rest: float
    checkpoint: int = 1


# (database, whether others write to it, too) -> tempo; the figures are in docs/operations.md.
TEMPOS: Final = {
    ("sqlite", True): Tempo(hold=0.0005, rest=2),
    ("sqlite", False): Tempo(hold=0.2, rest=0, checkpoint=8),
    ("postgresql", True): Tempo(hold=0.005, rest=4),
    ("postgresql", False): Tempo(hold=0.05, rest=0.05),
}


class Pace:
    """Finds the number of rows, up to `limit`, that a transaction removes in the tempo's time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.rows = min(FIRST_ROWS, limit)

    def took(self, seconds: float, tempo: Tempo) -> None:
        least, most = GROWTH
        factor = min(max(tempo.hold / max(seconds, 1e-6), least), most)
        self.rows = min(max(round(self.rows * factor), 1), self._limit)

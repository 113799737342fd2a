"""How many rows a transaction takes and how long the pause after it is. Arithmetic only.

On SQLite whoever writes holds the whole database. Those who wait for it look again after 1, 2, 5,
10, 15, 20, 25, 25, 25, 50, 50 and then every 100 ms (its busy handler): the gap in which a waiting
writer's next look falls is never longer than the time it has waited. So a pause as long as the
transaction was lets it in.
"""

from dataclasses import dataclass
from typing import Final

FIRST_ROWS: Final = 100
LONGEST_PAUSE: Final = 0.1
GROWTH: Final = (0.5, 1.5)
"""By what factors the number of rows may change from one transaction to the next."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """`hold`: the seconds that a transaction may take. `pause`: the pause's share of what it took.
    `checkpoint`: after how many transactions SQLite's log is moved into its file.
    """

    hold: float
    pause: float
    checkpoint: int


# (database, whether a server runs on it) -> tempo.
TEMPOS: Final = {
    ("sqlite", True): Tempo(hold=0.004, pause=1.5, checkpoint=1),
    ("sqlite", False): Tempo(hold=0.1, pause=0.3, checkpoint=10),
    ("postgresql", True): Tempo(hold=0.02, pause=0.5, checkpoint=1),
    ("postgresql", False): Tempo(hold=0.05, pause=0.05, checkpoint=1),
}


class Pace:
    """Finds the number of rows, up to `limit`, that a transaction removes in the tempo's time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.transactions = 0
        self.rows = min(FIRST_ROWS, limit)

    def after(self, tempo: Tempo, seconds: float) -> float:
        """The pause after a transaction that took so long, in seconds."""
        self.transactions += 1
        least, most = GROWTH
        factor = min(max(tempo.hold / max(seconds, 1e-6), least), most)
        self.rows = min(max(int(self.rows * factor), 1), self._limit)
        return min(seconds * tempo.pause, LONGEST_PAUSE)

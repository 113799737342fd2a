"""A progress bar for whoever watches; where nobody does, nothing is written."""

import time
from typing import Final, TextIO

WIDTH: Final = 30
REDRAW_SECONDS: Final = 0.1
CLEAR: Final = "\r\x1b[2K"


class ProgressBar:
    """One line that redraws itself on a terminal. `totals`: how much there is of each kind."""

    def __init__(self, stream: TextIO, totals: dict[str, int]) -> None:
        self._stream = stream
        self._totals = totals
        self._began = time.monotonic()
        self._drawn = 0.0

    def show(self, kind: str, done: int) -> None:
        now = time.monotonic()
        if kind in self._totals and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._stream.write(CLEAR + self._line(kind, done, now - self._began))
            self._stream.flush()

    def clear(self) -> None:
        if self._drawn:
            self._stream.write(CLEAR)
            self._stream.flush()

    def _line(self, kind: str, done: int, seconds: float) -> str:
        total = max(self._totals[kind], done, 1)
        share = done / total
        bar = ("#" * int(share * WIDTH)).ljust(WIDTH, ".")
        left = f"{seconds / share - seconds:.0f} s left" if share else ""
        return f"{label(kind)} [{bar}] {share:4.0%}  {done:,} of {total:,}  {left}"


def label(kind: str) -> str:
    return kind.replace("_", " ")

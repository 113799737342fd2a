"""Who is told, in the process that committed it, that something has been scheduled: without asking
the database all the time the scheduler is there when it becomes due."""

from collections.abc import Callable
from typing import Final

Alarm = Callable[[float], object]

alarms: Final[set[Alarm]] = set()
"""Called in the thread that committed, with the seconds until it is due."""


def ring(seconds: float) -> None:
    for alarm in tuple(alarms):
        alarm(seconds)

"""What a probe says of one part of a site, and how long it may look at it.

A probe is a generator of what it finds, as it finds it: one that does not end in time is a finding
itself, after those that it gave.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from chat.logs import redact

PROBE_SECONDS: Final = 10.0


class Level(IntEnum):
    """The exit code of `manage.py doctor`."""

    HEALTHY = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """`id` stays the same from release to release; `do`: a command, or what to set."""

    id: str
    level: Level
    problem: str
    why: str
    do: str


@dataclass(frozen=True, slots=True)
class Version:
    program: str
    version: str


Observed = Finding | Version
Probe = Callable[[], Iterable[Observed]]


def error(id: str, problem: str, why: str, do: str) -> Finding:
    return Finding(id, Level.ERROR, problem, why, do)


def warning(id: str, problem: str, why: str, do: str) -> Finding:
    return Finding(id, Level.WARNING, problem, why, do)


def sentence(failure: BaseException) -> str:
    """What a driver or the system says, on one line, without secrets and without a full stop."""
    said = redact(" ".join(str(failure).split())).rstrip(".")
    return said or type(failure).__name__


def examine(probes: Mapping[str, Probe], seconds: float = PROBE_SECONDS) -> list[Observed]:
    """What all probes find, each by its name and in a thread of its own, which ends with this
    process where it hangs."""
    looking = [_Looking(name, probe) for name, probe in probes.items()]
    until = time.monotonic() + seconds
    return [each for look in looking for each in look.observed(until, seconds)]


class _Looking:
    def __init__(self, name: str, probe: Probe) -> None:
        self._name, self._probe = name, probe
        self._observed: list[Observed] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def observed(self, until: float, seconds: float) -> list[Observed]:
        self._thread.join(max(0, until - time.monotonic()))
        found = [*self._observed]
        if self._thread.is_alive():
            found.append(_hangs(self._name, seconds))
        return found

    def _look(self) -> None:
        try:
            for each in self._probe():
                self._observed.append(each)  # before the probe ends
        except Exception as failure:  # the outermost edge: drivers raise whatever they like
            self._observed.append(_broke(self._name, failure))


def _hangs(name: str, seconds: float) -> Finding:
    return error(
        f"{_slug(name)}.hangs",
        f"The look at the {name} has no end within {seconds:g} s.",
        "What does not answer keeps the server waiting, too.",
        "Look for a program that is stopped or has far too much to do, and for a network that drops"
        " what it is sent.",
    )


def _broke(name: str, failure: Exception) -> Finding:
    return error(
        f"{_slug(name)}.failed",
        f"The look at the {name} failed: {type(failure).__name__}, {sentence(failure)}.",
        "What comes after that was not looked at.",
        "Mend what the message names, and run it again.",
    )


def _slug(name: str) -> str:
    return name.replace(" ", "-")

"""CPU time and memory of processes, of /proc; cores to run them on."""

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

AVAILABLE: Final = sorted(os.sched_getaffinity(0))
SERVER: Final = AVAILABLE[0]
GENERATOR: Final = AVAILABLE[-1]
"""The cores; the same where there is only one."""


def pin(pid: int, *cores: int) -> None:
    """All threads and children of a process; those to come inherit it."""
    for each in family(pid):
        with contextlib.suppress(FileNotFoundError):
            for thread in Path(f"/proc/{each}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), cores)


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """This thread; what it starts meanwhile inherits it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[int]:
    """A process and all that it has started, and these in their turn."""
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += family(int(child))
    return found


def used(pids: Iterable[int]) -> float:
    """Seconds of CPU time of these processes, all threads and children."""
    return sum(by_process(pids).values())


def by_process(pids: Iterable[int], *, waited: bool = False) -> dict[int, float]:
    """The same, of each; or the seconds that it was ready to run, but had no core."""
    running = (each for pid in pids for each in family(pid))
    return {each: _nanoseconds(each, int(waited)) / 1e9 for each in running}


def own() -> tuple[float, float]:
    """Seconds that this process alone has used, and waited for a core."""
    return time.process_time(), _nanoseconds(os.getpid(), 1) / 1e9


def _nanoseconds(pid: int, which: int = 0) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((thread / "schedstat").read_text().split()[which])
    return total


def with_ended(pids: Iterable[int]) -> float:
    """As `used`, with threads that have ended, as those of Django's requests do; in ticks of the
    clock, mostly of 10 ms."""
    return _ticks(pids, 11) + _ticks(pids, 12)


def kernel(pids: Iterable[int]) -> float:
    """Of `used`, the seconds within the kernel: the clock's interrupt looks whom it stops, so only
    a sum over a second or more means something."""
    return _ticks(pids, 12)


def _ticks(pids: Iterable[int], field: int) -> float:
    ticks = 0
    for each in (each for pid in pids for each in family(pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            ticks += int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[field])
    return ticks / os.sysconf("SC_CLK_TCK")


def writes(pids: Iterable[int]) -> int:
    """How often these processes and their children have called write() or writev()."""
    total = 0
    for each in (each for pid in pids for each in family(pid)):
        with contextlib.suppress(OSError):  # it has just ended, or is another user's
            found = re.search(r"syscw: (\d+)", Path(f"/proc/{each}/io").read_text())
            total += int(found[1]) if found else 0
    return total


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory of these processes and their children."""
    pages = sum(
        int(Path(f"/proc/{each}/statm").read_text().split()[1])
        for pid in pids
        for each in family(pid)
    )
    return pages * os.sysconf("SC_PAGE_SIZE")

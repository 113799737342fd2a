"""Messages at an even pace: how long each takes from when it was due until it has arrived."""

import gc
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .connection import Connection, Refused
from .frames import TEXT, masked
from .loop import Usage, percentiles

LAST_SECONDS: Final = 10
SPIN_SECONDS: Final = 0.0015  # epoll's own clock has milliseconds


@dataclass
class Pair:
    """Who sends `payload`, and who hears it."""

    publisher: Connection
    member: Connection
    payload: bytes
    due: deque[float] = field(default_factory=deque)


def paced(
    pairs: Sequence[Pair], rate: float, seconds: float, warm: float, pids: Sequence[int]
) -> dict[str, float]:
    """By turns, `rate` messages a second in all. From when it was due, not from when it was sent:
    who holds up the sender holds up those behind it too."""
    members = {pair.member.fileno: pair for pair in pairs}
    poll = select.epoll()
    for fileno in members:
        poll.register(fileno, select.EPOLLIN)
    frames = [masked(TEXT, pair.payload) for pair in pairs]
    taken: list[float] = []
    seen = {fileno: pair.member.texts for fileno, pair in members.items()}
    total, skipped = int(rate * (warm + seconds)), int(rate * warm)
    gc.collect()
    gc.disable()
    try:
        usage, began = Usage(pids), time.perf_counter() + 0.01
        sent, deadline = 0, began + warm + seconds + LAST_SECONDS
        while len(taken) < total:
            now = time.perf_counter()
            if now > deadline:
                raise Refused(f"{total - len(taken)} of {total} messages never came")
            due = began + sent / rate
            if sent < total and now >= due:
                pair = pairs[sent % len(pairs)]
                pair.publisher.socket.sendall(frames[sent % len(pairs)])
                pair.due.append(due)
                sent += 1
                continue
            pause = due - now - SPIN_SECONDS if sent < total else 0.1
            for fileno, _ in poll.poll(max(0.0, pause)):
                pair = members[fileno]
                pair.member.read()
                now = time.perf_counter()
                came = range(pair.member.texts - seen[fileno])
                taken.extend(now - pair.due.popleft() for _ in came)
                seen[fileno] = pair.member.texts
        used, waited = usage.since()
        took = time.perf_counter() - began
    finally:
        gc.enable()
        poll.close()
    return {
        **percentiles(taken[skipped:]),
        "server_us": used / total * 1e6,
        "server_busy": used / took,
        "server_waited": waited / took,
    }

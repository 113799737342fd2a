"""A presence channel of a thousand: what one who joins costs."""

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.generator.connection import Connection, close_all, open_as
from benchmarks.generator.frames import TEXT
from benchmarks.generator.loop import Usage
from benchmarks.generator.poll import Poll
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours

from .base import Figures, Options, Run, Scenario

MEMBERS: Final = 1000
JOINS: Final = 20
WAVE: Final = 20
"""How many of the thousand join at once: each is told to all with the whole list."""

LIMIT_SECONDS: Final = 120
RIGHTS: Final = {"presence.*": {"subscribe": True}}
UID: Final = b'"uid":'


class Presence(Scenario):
    name = "presence"
    title = f"a presence channel of {MEMBERS:,} members of 27 B: one joins"
    runs = 1
    members = MEMBERS
    names: ClassVar = {"ours": "ours"}

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with Ours().start(directory) as running:
            yield {"ours": lambda: _run(running, self.members)}


class Member(Connection):
    """`last` is its last text; those before it are counted."""

    __slots__ = ("last",)

    def _take(self, kind: int, payload: bytes) -> None:
        super()._take(kind, payload)
        if kind == TEXT:
            self.last = payload

    def subscribe(self, channel: str) -> None:
        self.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}).encode())

    def sees(self, members: int) -> bool:
        return self.texts > 0 and self.last.count(UID) > members  # each, and whom it is about


def _run(running: Running, members: int) -> Figures:
    channel = f"presence.{next(_numbers)}"
    targets = [
        Ours.connect(running, uid=f"m{who:05}", channels=RIGHTS)  # {"uid":"m00000","umd":null}
        for who in range(members + JOINS)
    ]
    people = open_as(Member, running.port, targets, _settled)
    poll = Poll(people)
    try:
        for start in range(0, members, WAVE):
            _join(running, poll, channel, people[:start], people[start : start + WAVE])
        joined = sum(
            _join(running, poll, channel, people[:number], [people[number]])
            for number in range(members, members + JOINS)
        )
    finally:
        poll.close()
        close_all(people)
    return {"join_ms": joined / JOINS * 1e3}


def _join(
    running: Running,
    poll: Poll,
    channel: str,
    members: Sequence[Member],
    joiners: Sequence[Member],
) -> float:
    """Seconds of CPU until all have been told."""
    usage = Usage(running.pids)
    for joiner in joiners:
        joiner.subscribe(channel)
    told = [*members, *joiners]
    poll.until_each(told, lambda member: member.sees(len(told)), LIMIT_SECONDS)
    return usage.since()[0]


def _settled(batch: Sequence[Connection]) -> None:
    for connection in batch:
        connection.next_text(b"hotsock.connected")


_numbers: Final = itertools.count(1)

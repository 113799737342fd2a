"""Rooms in which people talk: connections, rooms, one measured run."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.generator.connection import Connection, Refused, close_all, open_many
from benchmarks.generator.frames import Delivery
from benchmarks.generator.loop import Measured, measure
from benchmarks.generator.rooms import AHEAD, Room
from benchmarks.peers import Peer, Running
from benchmarks.peers.base import DATA, Role

from .base import Figures, Options, Run, Scenario, started

WARM_SECONDS: Final = 0.3
UNASKED: Final = ("socketio",)
"""No figure is asked against them: the short form has no time for them."""


@dataclass(frozen=True)
class Talk(Scenario):
    """`rooms` of a publisher and `members`; with `everyone`, of members that all publish. `rest`:
    see Loop; a fraction of the time for which what is on its way keeps any server busy."""

    name: str
    title: str
    members: int
    chunk: int
    rooms: int = 1
    everyone: bool = False
    ahead: int = AHEAD
    rest: float = 0.0
    data: str = DATA
    short = True

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        left_out = () if options.full else UNASKED
        names = [each for each in chosen if each not in left_out]
        with started(names, directory) as running:
            yield {peer.name: partial(self._figures, peer, run, options) for peer, run in running}

    def _figures(self, peer: Peer, running: Running, options: Options) -> Figures:
        chunk = options.chunk or peer.chunks.get(self.name, self.chunk)
        return self.run(peer, running, running, options.seconds, chunk).figures()

    def run(
        self, peer: Peer, publishing: Running, receiving: Running, seconds: float, chunk: int
    ) -> Measured:
        pids = list(dict.fromkeys((*publishing.pids, *receiving.pids)))
        with self.connected(peer, publishing, receiving, chunk) as rooms:
            return measure(rooms, pids, warm=WARM_SECONDS, seconds=seconds, rest=self.rest)

    @contextlib.contextmanager
    def connected(
        self, peer: Peer, publishing: Running, receiving: Running, chunk: int
    ) -> Iterator[list[Room]]:
        """The rooms, once a message has reached everyone in each."""
        names = [f"room-{next(_numbers):06}" for _ in range(self.rooms)]
        people = [(name, who, role) for name in names for who, role in self._people()]
        opened: list[Connection] = []
        try:
            opened += _open(peer, receiving, [each for each in people if each[2] != "publisher"])
            callers = _open(peer, publishing, [each for each in people if each[2] == "publisher"])
            opened += callers
            yield [
                self._room(
                    peer,
                    name,
                    callers[at : at + 1],
                    opened[at * self.members : (at + 1) * self.members],
                    chunk,
                )
                for at, name in enumerate(names)
            ]
        finally:
            close_all(opened)

    def _people(self) -> list[tuple[str, Role]]:
        role: Role = "both" if self.everyone else "member"
        people = [(f"u{number:05}", role) for number in range(self.members)]
        return people if self.everyone else [("u99999", "publisher"), *people]

    def _room(
        self,
        peer: Peer,
        name: str,
        callers: list[Connection],
        members: list[Connection],
        chunk: int,
    ) -> Room:
        """`callers`: who only publishes; empty where everyone does."""
        roles = [role for _, role in self._people()]
        publishers = callers or members
        echoes = peer.echoes(roles[0])
        if echoes:
            members = list(dict.fromkeys([*members, *publishers]))
        payloads = [
            peer.payload(name, who, self.data) for who, role in self._people() if role != "member"
        ]
        for publisher, payload in zip(publishers, payloads, strict=True):
            publisher.send(payload)
            hearers = [each for each in members if echoes or each is not publisher]
            learn([each.next_text(self.data.encode()) for each in hearers], hearers)
        return Room(publishers, members, payloads, chunk=chunk, echoes=echoes, ahead=self.ahead)


def _open(
    peer: Peer, running: Running, people: Sequence[tuple[str, str, Role]]
) -> list[Connection]:
    targets = [peer.target(running, *each) for each in people]
    return open_many(running.port, targets, peer.settle)


def learn(heard: Sequence[bytes], hearers: Sequence[Connection]) -> None:
    """From one message, read in full by everyone, what deliveries look like."""
    kinds = {Delivery.of(payload) for payload in heard}
    if len(kinds) != 1:
        raise Refused(f"one message came in {len(kinds)} forms")
    delivery = kinds.pop()
    for each in hearers:
        each.delivery = delivery


_numbers: Final = itertools.count(1)  # no room is used twice

TALKS: Final = {
    talk.name: talk
    for talk in (
        Talk("fanout-1", "1 publisher → 1 subscriber", members=1, chunk=128),
        Talk("fanout-100", "1 → 100", members=100, chunk=32, rest=0.00015),
        Talk("fanout-1000", "1 → 1,000", members=1000, chunk=32, rest=0.001),
        Talk(
            *("rooms", "500 rooms of 2, all talking"),
            members=2,
            rooms=500,
            everyone=True,
            chunk=4,
            rest=0.002,
        ),
    )
}

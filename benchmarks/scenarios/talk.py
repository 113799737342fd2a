"""Rooms in which people talk: connections, rooms, one measured run."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.generator.connection import Connection, Refused, close_all, open_many
from benchmarks.generator.frames import Delivery
from benchmarks.generator.loop import Measured, measure
from benchmarks.generator.rooms import AHEAD, Room
from benchmarks.peers import Peer, Running
from benchmarks.peers.base import DATA, Role

WARM_SECONDS: Final = 0.4


@dataclass(frozen=True)
class Talk:
    """`rooms` of a publisher and `members`; with `everyone`, of members that all publish."""

    name: str
    title: str
    members: int
    chunk: int
    rooms: int = 1
    everyone: bool = False
    ahead: int = AHEAD
    data: str = DATA

    def run(self, peer: Peer, running: Running, seconds: float, **options: int) -> Measured:
        chunk = options.get("chunk") or peer.chunks.get(self.name, self.chunk)
        with self.connected(peer, running, chunk) as rooms:
            return measure(rooms, running.cpu, warm=WARM_SECONDS, seconds=seconds)

    @contextlib.contextmanager
    def connected(self, peer: Peer, running: Running, chunk: int) -> Iterator[list[Room]]:
        """The rooms, once a message has reached everyone in each."""
        names = [f"room-{next(_numbers):06}" for _ in range(self.rooms)]
        opened: list[Connection] = []
        targets = [
            target
            for name in names
            for who, role in self._people()
            if (target := peer.target(running, name, who, role))
        ]
        opened = open_many(running.port, targets, peer.settle)
        try:
            size = len(targets) // len(names)
            rooms = [
                self._room(peer, name, opened[at * size : (at + 1) * size], chunk)
                for at, name in enumerate(names)
            ]
            yield rooms
        finally:
            close_all(opened)

    def _people(self) -> list[tuple[str, Role]]:
        role: Role = "both" if self.everyone else "member"
        people = [(f"u{number:05}", role) for number in range(self.members)]
        return people if self.everyone else [("u99999", "publisher"), *people]

    def _room(self, peer: Peer, name: str, people: list[Connection], chunk: int) -> Room:
        roles = self._people()
        publishers = people if self.everyone else people[:1]
        echoes = peer.echoes(roles[0][1])
        members = people if self.everyone or echoes else people[1:]
        payloads = [peer.payload(name, who, self.data) for who, role in roles if role != "member"]
        for publisher, payload in zip(publishers, payloads, strict=True):
            publisher.send(payload)
            hearers = [each for each in members if echoes or each is not publisher]
            learn([each.next_text(self.data.encode()) for each in hearers], hearers)
        room = Room(publishers, members, payloads, chunk=chunk, echoes=echoes, ahead=self.ahead)
        room.sizes = len(payloads[0]), members[0].delivery.size
        return room


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
        Talk("fanout-100", "1 → 100", members=100, chunk=32),
        Talk("fanout-1000", "1 → 1,000", members=1000, chunk=16),
        Talk("rooms", "500 rooms of 2, all talking", members=2, rooms=500, everyone=True, chunk=4),
        Talk("single", "one message at a time", members=1, chunk=1, ahead=1),
    )
}

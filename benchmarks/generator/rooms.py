"""Who talks to whom: publishers, members, and how many frames may be on their way.

A chunk is so many frames of each publisher, sent at once. The next one is sent when every member
has all of the one `AHEAD` before it. So no buffer overflows, and a server always has work.
"""

import time
from collections.abc import Sequence
from typing import Final

from .connection import Connection
from .frames import TEXT, masked

AHEAD: Final = 2


class Room:
    """`payloads`: of each publisher, what it sends, in turn where there are several; `echoes`:
    publishers that are members get their own messages too."""

    def __init__(
        self,
        publishers: Sequence[Connection],
        members: Sequence[Connection],
        payloads: Sequence[bytes | Sequence[bytes]],
        *,
        chunk: int,
        echoes: bool,
        ahead: int = AHEAD,
    ) -> None:
        self.members = members
        self.chunk = chunk
        self.open = False
        self.publishers = publishers
        self._chunks = [_chunk(payload, chunk) for payload in payloads]
        self._share = {}
        for member in members:
            own = 1 if member in publishers and not echoes else 0
            self._share[member] = chunk * (len(publishers) - own)
            member.room = self
        self.begin(ahead)

    def begin(self, ahead: int) -> None:
        """Anew, with so many chunks on their way; nothing is."""
        self.ahead = ahead
        self.sent = self.done = 0  # chunks
        self.seconds: list[float] = []  # what each chunk took to reach every member
        self._sent_at: list[float] = []
        self._left = [len(self.members)] * ahead
        for member in self.members:
            member.texts = member.generation = 0
            member.due = self._share[member]

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes on the wire of a frame sent and of a delivery."""
        return len(self._chunks[0]) // self.chunk, self.members[0].delivery.size

    @property
    def deliveries(self) -> int:
        return sum(member.texts for member in self.members)

    def start(self) -> None:
        self.open = True
        while self.sent < self.done + self.ahead:
            self._send()

    def reached(self, member: Connection) -> None:
        """The member has all of a chunk; called once it has `due` texts."""
        while member.texts >= member.due:
            slot = member.generation % self.ahead
            member.generation += 1
            member.due += self._share[member]
            self._left[slot] -= 1
            if self._left[slot] == 0:
                self._left[slot] = len(self.members)
                self.seconds.append(time.perf_counter() - self._sent_at[self.done])
                self.done += 1
                if self.open:
                    self._send()

    def _send(self) -> None:
        self._sent_at.append(time.perf_counter())
        self.sent += 1
        for publisher, chunk in zip(self.publishers, self._chunks, strict=True):
            publisher.socket.sendall(chunk)

    def wrong(self) -> str | None:
        """What was lost or came twice, once nothing is on its way any more."""
        for member in self.members:
            expected = self.done * self._share[member]
            if member.texts != expected:
                return f"a member got {member.texts} of {expected} messages"
        return None


def _chunk(payload: bytes | Sequence[bytes], size: int) -> bytes:
    payloads = (payload,) if isinstance(payload, bytes) else payload
    return b"".join(masked(TEXT, payloads[number % len(payloads)]) for number in range(size))

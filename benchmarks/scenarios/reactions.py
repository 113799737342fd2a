"""Sixty-four people who react to one message and take it back, each change told to all others."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.databases import TITLES, Kind, database
from benchmarks.generator.connection import Connection, close_all, open_many
from benchmarks.generator.loop import measure
from benchmarks.generator.rooms import Room
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours

from .base import Figures, Options, Run, Scenario
from .talk import WARM_SECONDS

PEOPLE: Final = 64
CHUNK: Final = 2
"""Frames of each that are sent at once: a reaction, and its end."""

CHANNEL: Final = "reactions"
REACTION: Final = "hotsock.messageReaction"
TOLD: Final = b'"hotsock.messageReaction'


class Listener(Connection):
    """Counts by what occurs in each delivery once, since those told of are of two sizes.

    What the server asks meanwhile is not answered: a run is shorter than its patience.
    """

    __slots__ = ()

    def read(self) -> None:
        held = self.unread + self.socket.recv(1 << 18)
        self.texts += held.count(TOLD)
        # A part of one may be the end. A whole one never is: more follows it in its frame.
        self.unread = held[1 - len(TOLD) :]


@dataclass(frozen=True)
class Reactions(Scenario):
    kind: Kind
    names: ClassVar = {"ours": "ours"}

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"reactions-{self.kind}"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"reactions of {PEOPLE} people on one message, {TITLES[self.kind]}"

    @property
    def short(self) -> bool:  # type: ignore[override]
        return self.kind == "sqlite"

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with (
            database(self.kind, directory) as disk,
            Ours().start(directory, DATABASE_URL=disk.url("ours")) as running,
        ):
            yield {"ours": lambda: _run(running, disk.pids, options.seconds)}


def _run(running: Running, pids: Sequence[int], seconds: float) -> Figures:
    messages = {"chat": {"publish": True, "echo": True, "store": 3600, "react": True}}
    granted = {CHANNEL: {"subscribe": True, "autoSubscribe": True, "messages": messages}}
    targets = [Ours.connect(running, uid=f"u{who:05}", channels=granted) for who in range(PEOPLE)]
    people = open_many(running.port, targets, Ours().settle)
    try:
        people[0].send(Ours().payload(CHANNEL, ""))
        heard = [each.next_text(b'"chat"') for each in people]
        id = json.loads(heard[0])["id"]
        for person in people:
            person.__class__ = Listener
            person.unread = b""
        frames = [[_frame(id, action) for action in ("add", "remove")]] * PEOPLE
        room = Room(people, people, frames, chunk=CHUNK, echoes=False)
        every = [*running.pids, *pids]
        figures = measure([room], every, warm=WARM_SECONDS, seconds=seconds).figures()
    finally:
        close_all(people)
    return figures


def _frame(id: str, action: str) -> bytes:
    data: dict[str, Any] = {"messageId": id, "reaction": "👍", "action": action}
    return json.dumps({"event": REACTION, "channel": CHANNEL, "data": data}).encode()


REACTIONS: Final = (Reactions("sqlite"), Reactions("postgresql"))

"""Presence channels of which one member each stays, and what is left there of all others."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

from tests.faults.conftest import Fault
from tests.faults.kernel import descriptors, sockets
from tests.faults.recording import Frame, until
from tests.faults.rude import Rude
from tests.support.servers import Server, token
from tests.support.stored import rows

LIMIT_SECONDS = 40
SUBSCRIPTIONS = 2
POOLED = 8 * 3  # threads that read the database, and files of SQLite's that each opens
SURVIVOR = "survivor"
STORAGE = {"entry": {"get": True, "set": True, "observe": True}}
LEFT = {
    "connection": "SELECT uid FROM chat_connection WHERE substr(uid, 1, 8) <> 'survivor'",
    "subscription": "SELECT uid FROM chat_subscription WHERE substr(uid, 1, 8) <> 'survivor'",
    "member": "SELECT uid FROM chat_member WHERE substr(uid, 1, 8) <> 'survivor' AND NOT removed",
}


def grants(number: int) -> dict[str, Any]:
    """For two subscriptions, which the server makes at once: a team's and a board's, of which
    every other client observes an entry."""
    board = {"autoSubscribe": True, "storage": STORAGE if number % 2 else {}}
    return {f"presence.team{number}": {"autoSubscribe": True}, "board": board}


def token_of(server: Server, uid: str, team: int) -> str:
    return token(server, uid=uid, channels=grants(team))


class Survivor:
    """Keeps nothing but who is in its team, as it was told last."""

    def __init__(self, connection: Rude) -> None:
        self.connection = connection
        self.roster: list[str] = []
        for frame in list(connection.frames):
            self._note(frame)
        connection.on_frame = self._note

    @classmethod
    async def open(cls, server: Server, team: int) -> Survivor:
        uid = f"{SURVIVOR}{team}"
        self = cls(await Rude.open(server, uid, channels=grants(team)))
        await until(lambda: self.roster == [uid], f"{uid} is in")
        return self

    def _note(self, frame: Frame) -> None:
        if "members" in (frame.value or {}):
            self.roster = [member["uid"] for member in frame.value["members"]]
        self.connection.frames.clear()

    @property
    def alone(self) -> bool:
        return self.roster == [self.connection.uid]


@dataclass
class Teams:
    server: Server
    survivors: list[Survivor]
    descriptors: int

    @classmethod
    async def begin(cls, server: Server, count: int) -> Teams:
        opened = [await Survivor.open(server, number) for number in range(count)]
        opened[0].connection.send(
            event="hotsock.channelStorageSet", channel="board", key="entry", data="there"
        )
        return cls(server, opened, descriptors(server.pid))

    async def healed(self, fault: Fault) -> None:
        """Returns when nothing is left of anybody else; fails after 40 s."""
        begun = time.monotonic()
        with contextlib.suppress(AssertionError):
            await until(lambda: not self.left(), "nothing is left", LIMIT_SECONDS)
        fault.measure("seconds until nothing was left", time.monotonic() - begun)
        fault.none("rows, members, sockets or names in rosters left", self.left())
        assert all(survivor.connection.open_ for survivor in self.survivors)

    def left(self) -> list[str]:
        """What is there beside the survivors: where the server's sockets tell, no rows are read."""
        known = {survivor.connection.address for survivor in self.survivors}
        if others := set(sockets(self.server.port)) - known:
            return [f"a socket of {peer}" for peer in others]
        if wrong := [survivor for survivor in self.survivors if not survivor.alone]:
            return [f"{each.connection.uid} sees {each.roster}" for each in wrong]
        return [
            f"{what} of {uid}" for what, sql in LEFT.items() for (uid,) in rows(self.server, sql)
        ]

    async def no_descriptor_more(self, fault: Fault) -> None:
        """Than at the beginning, but for what pools open when it is needed."""
        more = descriptors(self.server.pid) - self.descriptors
        fault.measure("more descriptors than before", more)
        fault.none("descriptors leaked", range(more - POOLED))

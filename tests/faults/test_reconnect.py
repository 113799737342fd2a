"""All clients lose their connection at the same moment, and come back at once (P3, P5)."""

import asyncio
import itertools
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.conftest import Fault, Site
from tests.faults.recording import MESSAGES, Frame, Refused, pause, until
from tests.faults.rude import Rude
from tests.support.servers import Server, token
from tests.support.stored import rows

CLIENTS = 50
A_ROOM, A_TEAM = 50, 10
SUBSCRIPTIONS = 2
LIMIT_SECONDS = 30
TRY_AGAIN = {429, 503, 1013}
ROWS = "SELECT count(*) FROM chat_connection WHERE uid LIKE ?"


@dataclass
class Client:
    """In a room, where it hears the messages, and in a team, where it sees the members."""

    server: Server
    number: int
    site: str
    refusals: Counter[int] = field(default_factory=Counter)
    connection: Rude = field(init=False)

    def __post_init__(self) -> None:
        self.uid = f"{self.site}-{self.number}"
        self.room = f"{self.site}-room{self.number // A_ROOM}"
        self.team = f"presence.{self.site}-team{self.number // A_TEAM}"
        grants: dict[str, Any] = {
            self.room: {"autoSubscribe": True, "messages": MESSAGES},
            self.team: {"autoSubscribe": True},
        }
        self._token = token(self.server, uid=self.uid, channels=grants)

    async def come(self) -> None:
        """Until it is in; waits after each refusal as the browser client does."""
        for failures in itertools.count(1):
            try:
                self.connection = await Rude.begin(self.server, self.uid, self._token)
                await self.connection.inside(SUBSCRIPTIONS)
                return
            except Refused as refused:
                self.refusals[refused.status] += 1
            await asyncio.sleep(pause(failures))

    def roster(self) -> list[str]:
        """Who is in its team, as it was told last."""
        told = [frame for frame in self.connection.frames if is_roster(frame, self.team)]
        return sorted(member["uid"] for member in told[-1].value["members"])

    def heard(self) -> list[Any]:
        return [frame.value for frame in self.connection.heard(self.room)]


def is_roster(frame: Frame, channel: str) -> bool:
    return frame.channel == channel and "members" in (frame.value or {})


async def test_reconnect(site: Site, fault: Fault, channel: str) -> None:
    count = fault.times(CLIENTS)
    clients = [Client(site.servers[number % 2], number, channel) for number in range(count)]
    allow_sockets(2 * count)
    for part in itertools.batched(clients, 100):
        await asyncio.gather(*(client.come() for client in part))
    fault.count("refused at first", sum(client.refusals.total() for client in clients))

    for client in clients:
        client.refusals.clear()
        client.connection.reset()
    begun = time.monotonic()
    async with asyncio.timeout(2 * LIMIT_SECONDS):
        await asyncio.gather(*(client.come() for client in clients))
    seconds = time.monotonic() - begun
    fault.count("clients", count)
    fault.measure("seconds until all were subscribed", seconds)
    refusals = sum((client.refusals for client in clients), Counter())
    fault.count("refusals", refusals.total())
    fault.none("errors", [status for status in refusals.elements() if status not in TRY_AGAIN])
    await whole(site, clients)
    assert seconds <= LIMIT_SECONDS
    for client in clients:
        client.connection.close()


async def whole(site: Site, clients: list[Client]) -> None:
    """Every room hears, every team sees its members once, and of before there is nothing left."""
    rooms = {client.room: client for client in clients}
    for room, client in rooms.items():
        client.connection.publish(room, room)
    await until(lambda: all(client.heard() == [client.room] for client in clients), "all hear")
    teams = {
        team: sorted(member.uid for member in members)
        for team, members in itertools.groupby(clients, lambda client: client.team)
    }
    await until(lambda: all(c.roster() == teams[c.team] for c in clients), "all see who is there")
    like = f"{clients[0].site}-%"
    await until(lambda: rows(site.one, ROWS, like) == [(len(clients),)], "old rows are gone")
    assert all(client.connection.open_ for client in clients)


def allow_sockets(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number + 200, hard), hard))

"""Hours in small: connections come and go under a steady load, and leave nothing behind (P3, P6).

Small: 10 s, 20 connections, 40 messages/s. SCALE=180 is the whole: 30 minutes, 500, 200.
"""

import asyncio
import contextlib
import itertools
import time
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import checks
from tests.faults.conftest import SCALE, Fault, Site
from tests.faults.kernel import descriptors, sockets
from tests.faults.recording import PING, Connection, Frame, Refused, pause, until, whole_history
from tests.faults.rude import Rude
from tests.faults.trend import Sample, slope
from tests.support.servers import Server
from tests.support.stored import rows

SECONDS = 10
CONNECTIONS, MOST_CONNECTIONS = 20, 500
RATE, MOST_RATE = 40, 200
GUESTS_A_ROOM = 10
STAY_SECONDS = 30.0  # on average; a quarter of the whole where that is less
STORED_SHARE = 0.7
SAMPLE_SECONDS = 2.0
BEAT_SECONDS = 60.0
# Of the time, before memory is looked at: until each process has met 2,000 connections and
# members, whose budgets it remembers (MAX_RATES of chat/protocol/frames.py).
SETTLING_SHARE = 1 / 2
MIB_AN_HOUR = 1.0
WHOLE_SCALE = 180
POOLED = 8 + 4  # connections to PostgreSQL and Redis that are opened when they are needed
BUSY = 503, 1013  # a server says to come again later
LEFT = {
    "connections left": "SELECT id FROM chat_connection",
    "subscriptions left": "SELECT id FROM chat_subscription",
    "members left": "SELECT uid FROM chat_member WHERE NOT removed",
}


@dataclass
class Room:
    """`ids`: what a witness that stays has got, in its order."""

    channel: str
    witness: Connection
    ids: list[str] = field(default_factory=list)
    guests: list[Rude] = field(default_factory=list)

    def note(self, frame: Frame) -> None:
        if frame.event == "chat" and frame.id:
            self.ids.append(frame.id)
        self.witness.frames.clear()


class Soak:
    def __init__(self, site: Site, fault: Fault, channel: str) -> None:
        self.site = site
        self.fault = fault
        self.channel = channel
        self.seconds = fault.times(SECONDS)
        self.rate = min(MOST_RATE, fault.times(RATE))
        self.size = min(MOST_CONNECTIONS, fault.times(CONNECTIONS))
        self.stay = min(STAY_SECONDS, self.seconds / 4)
        self.rooms: list[Room] = []

    # --- guests -----------------------------------------------------------------------------

    async def open(self) -> None:
        for number in range(self.size // GUESTS_A_ROOM):
            channel = f"{self.channel}-{number}"
            witness = await Connection.open(self.site.servers[number % 2], f"witness{number}")
            await witness.subscribe(channel)
            room = Room(channel, witness)
            witness.on_frame = room.note
            self.rooms.append(room)

    async def come_and_go(self, number: int) -> None:
        """Always to the same server: where many happen to be on one, it keeps the room for them."""
        room = self.rooms[number % len(self.rooms)]
        server = self.site.servers[number // len(self.rooms) % 2]
        await asyncio.sleep(self.fault.random.uniform(0.0, self.stay))
        for visit in itertools.count():
            try:
                await self._visit(server, room, f"guest{number}-{visit}")
                self.fault.count("visits")
            except Refused as refused:
                if refused.status not in BUSY:
                    raise
                self.fault.count("refused")
                await asyncio.sleep(pause(1))

    async def _visit(self, server: Server, room: Room, uid: str) -> None:
        """Compares, in the end, what it got with what the witness got from its first to its last
        message; memory does not hold all recordings."""
        ids: list[str] = []
        guest = await Rude.open(server, uid)
        try:
            await guest.subscribe(room.channel)
            await guest.subscribe(f"presence.{room.channel}")
            ids += guest.ids(room.channel)
            guest.on_frame = lambda frame: note(guest, ids, frame)
            room.guests.append(guest)
            await asyncio.sleep(self.fault.random.uniform(0.2, 2 * self.stay))
            assert guest.open_, f"{uid} was closed with {guest.code}"
        finally:
            with contextlib.suppress(ValueError):
                room.guests.remove(guest)
            self.fault.random.choice([guest.close, guest.reset])()
        if ids:
            await until(lambda: room.ids and room.ids[-1] >= ids[-1], "the witness has it, too")
            since = room.ids[bisect_left(room.ids, ids[0]) :]
            self.fault.none_of(checks.connection_problems(ids, since, last=ids[-1]))

    # --- load -------------------------------------------------------------------------------

    async def publish(self) -> None:
        """At a steady rate, each by somebody who is there."""
        draw, due = self.fault.random, time.monotonic()
        while True:
            room = draw.choice(self.rooms)
            if room.guests:
                event = "chat" if draw.random() < STORED_SHARE else "typing"
                draw.choice(room.guests).publish(room.channel, "x" * draw.randrange(400), event)
                self.fault.count("messages")
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def stay_there(self) -> None:
        """The witnesses say something now and then, else they would be taken for gone."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for room in self.rooms:
                room.witness.send(**PING)

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[asyncio.Task[None]]:
        """Gives a task that ends where one of those who make the load fails."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.come_and_go(number)) for number in range(self.size)]
            tasks += [group.create_task(self.stay_there()), group.create_task(self.publish())]
            try:
                yield tasks[-1]
            finally:
                for task in tasks:
                    task.cancel()


def note(guest: Connection, ids: list[str], frame: Frame) -> None:
    if frame.event == "chat" and frame.id:
        ids.append(frame.id)
    del guest.frames[1:]  # its credentials stay


async def test_soak(site: Site, fault: Fault, channel: str) -> None:
    soak = Soak(site, fault, channel)
    before = {server.port: (descriptors(server.pid), threads(server)) for server in site.servers}
    await soak.open()
    samples: dict[int, list[Sample]] = {server.port: [] for server in site.servers}
    begun = time.monotonic()
    async with soak.under_load() as load:
        while time.monotonic() < begun + soak.seconds and not load.done():
            await asyncio.sleep(min(SAMPLE_SECONDS, soak.seconds / 20))
            for server in site.servers:
                samples[server.port].append((time.monotonic() - begun, memory(server)))
    fault.count("seconds", round(time.monotonic() - begun))
    await nothing_lost(soak)
    for room in soak.rooms:
        room.witness.close()
    grown = []
    for server in site.servers:
        await nothing_left(fault, server, *before[server.port])
        settled = [s for s in samples[server.port] if s[0] >= soak.seconds * SETTLING_SHARE]
        grows, error = growth(settled)
        later, _ = growth(settled[len(settled) // 2 :])
        name = "one" if server is site.one else "the other"
        fault.measure(f"MiB/h of {name}", grows)
        fault.measure(f"MiB/h of {name}, in its last quarter", later)
        fault.measure("standard error of MiB/h", error)
        fault.measure("MiB at the end", settled[-1][1] / 2**20)
        grown.append((grows, error))
    if SCALE >= WHOLE_SCALE:
        for grows, error in grown:
            assert grows - 2 * error <= MIB_AN_HOUR, f"{grows:.2f} ± {error:.2f} MiB/h"


def growth(samples: list[Sample]) -> tuple[float, float]:
    """Of memory, in MiB an hour, with its standard error."""
    grows, error = slope(samples)
    return grows * 3600 / 2**20, error * 3600 / 2**20


async def nothing_lost(soak: Soak) -> None:
    for number, room in enumerate(soak.rooms):
        history = await whole_history(soak.site.servers[number % 2 - 1], room.channel)
        await until(lambda room=room, all=history: len(room.ids) >= len(all), "the witness has all")
        soak.fault.count("stored", len(history))
        ends = {"first": history[0], "last": history[-1]} if history else {}
        soak.fault.none_of(checks.connection_problems(room.ids, history, **ends))


async def nothing_left(fault: Fault, server: Server, files: int, threads_before: int) -> None:
    """Once all have gone; the historians, too."""
    for what, sql in LEFT.items():
        with contextlib.suppress(AssertionError):
            await until(lambda sql=sql: not rows(server, sql), what)
        fault.none(what, rows(server, sql))
    await until(lambda: not sockets(server.port), "no socket is left")
    fault.measure("more descriptors than before", descriptors(server.pid) - files)
    fault.measure("more threads than before", threads(server) - threads_before)
    assert descriptors(server.pid) <= files + POOLED
    assert threads(server) <= threads_before + POOLED


def threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


def memory(server: Server) -> int:
    """Bytes that are its alone or were made before it was forked: other processes that come and go
    change its share of those (PSS), and not these."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

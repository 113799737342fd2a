"""What connections cost that come, stay and go, and what Redis does for a message."""

import itertools
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import cpu
from benchmarks.databases import Database
from benchmarks.generator.connection import Connection, Crowd, close_all, open_many
from benchmarks.generator.loop import Usage
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours
from benchmarks.points import CROWDS, TOGETHER, Costs, idle_of, visits_of
from benchmarks.scenarios.handshakes import settle
from tests.support.servers import Program

VISITORS: Final = 400
ALONE: Final = 100  # of those that come one at a time
IDLE_SECONDS: Final = 20  # two pings
REST_SECONDS: Final = 5
PUBLISHED: Final = 20_000
PIPELINED: Final = 10
LISTENERS: Final = (1, 11)


def named(running: Running, disk: Database) -> dict[str, int]:
    """Whose CPU time is measured: name -> process id."""
    postgres = {} if disk.postgres is None else {"postgres": disk.postgres.pid}
    return {"server": running.pids[0], **postgres}


def rest(programs: Mapping[str, int]) -> Costs:
    """Microseconds a second that each uses when nothing is asked of it."""
    usages = {name: Usage([pid]) for name, pid in programs.items()}
    time.sleep(REST_SECONDS)
    return {name: usage.since()[0] / REST_SECONDS * 1e6 for name, usage in usages.items()}


def visits(name: str, running: Running, disk: Database) -> dict[str, Costs]:
    """On a database of this name: opening and subscribing, so many together; and their ends."""
    found = {}
    programs = named(running, disk)
    for together in TOGETHER:
        count = VISITORS if together > 1 else ALONE
        targets = [_target(running, f"u{next(_people):07}") for _ in range(count)]
        opened: list[Connection] = []
        settle(running)
        came = {program: Usage([pid]) for program, pid in programs.items()}
        for at in range(0, count, together):
            opened += open_many(running.port, targets[at : at + together], Ours().settle)
        found[visits_of(together, name)] = _each(came, count)
        went = {program: Usage([pid]) for program, pid in programs.items()}
        close_all(opened)
        settle(running)
        found[f"ends, all together, {name}"] = _each(went, count)
    return found


def _each(usages: Mapping[str, Usage], count: int) -> Costs:
    return {program: usage.since()[0] / count * 1e6 for program, usage in usages.items()}


def _target(running: Running, who: str) -> str:
    return Ours.connect(running, uid=who, channels={"units": Ours.directives})


def idle(directory: Path) -> dict[str, Costs]:
    """Of connections that answer pings and do nothing: CPU time, and memory that was not there
    before, in a fresh process."""
    own = directory / "idle"
    own.mkdir()
    opened: list[Connection] = []
    found = {}
    crowd = Crowd()
    with Ours().start(own) as running:
        try:
            _come(running, opened, crowd, 100)  # what is loaded with the first
            settle(running)
            memory, base = running.memory(), rest({"server": running.pids[0]})["server"]
            for count in CROWDS:
                _come(running, opened, crowd, 100 + count)
                settle(running)
                kb = (running.memory() - memory) / count / 1e3
                used, end = running.cpu(), time.monotonic() + IDLE_SECONDS
                while (left := end - time.monotonic()) > 0:
                    crowd.answer(left)
                spent = (running.cpu() - used) / IDLE_SECONDS * 1e6 - base
                found[idle_of(count)] = {"server": spent / count, "KB": kb}
        finally:
            crowd.close()
            close_all(opened)
    return found


def _come(running: Running, opened: list[Connection], crowd: Crowd, count: int) -> None:
    while len(opened) < count:
        crowd.answer(0)
        some = range(len(opened), min(len(opened) + 500, count))
        people = [(f"news-{number % 100}", f"u{number:06}") for number in some]
        targets = [Ours().target(running, *each, "member") for each in people]
        came = open_many(running.port, targets, Ours().settle)
        crowd.add(came)
        opened += came


def publishing(redis: Program) -> Costs:
    """Redis alone: messages of a frame's size in pipelines, to 1 and to 11 connections."""
    costs = {}
    text = b"x" * 250
    sent = b"*3\r\n$7\r\nPUBLISH\r\n$5\r\nunits\r\n$%d\r\n%s\r\n" % (len(text), text) * PIPELINED
    for count in LISTENERS:
        listeners = [socket.create_connection(("127.0.0.1", redis.port)) for _ in range(count)]
        for listener in listeners:
            listener.sendall(b"SUBSCRIBE units\r\n")
            listener.recv(1000)
        with socket.create_connection(("127.0.0.1", redis.port)) as publisher:
            before = cpu.used([redis.pid])
            for _ in range(PUBLISHED // PIPELINED):
                publisher.sendall(sent)
                for each in (publisher, *listeners):
                    each.recv(1 << 16)
            costs[count] = (cpu.used([redis.pid]) - before) / PUBLISHED * 1e6
        for listener in listeners:
            listener.close()
    one, many = (costs[count] for count in LISTENERS)
    return {"one subscriber": one, "each more": (many - one) / (LISTENERS[-1] - 1)}


_people: Final = itertools.count()

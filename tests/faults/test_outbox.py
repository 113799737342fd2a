"""Publishing within transactions of other processes: all that is committed arrives, once and in
each publisher's order (P1, P2, P4), and no transaction keeps others from being served (P7)."""

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.faults import checks
from tests.faults.conftest import ALONE, SCALE, Fault, Site
from tests.faults.recording import Connection, Frame, Publisher, until, whole_history
from tests.support import forked
from tests.support.servers import ROOT, Server
from tests.support.stored import rows

KILLS = 1
PROCESSES = 3
EACH = 60  # transactions, and as many messages outside of them, of each process and kill
SECONDS = 20.0 * SCALE if ALONE else 3.0
SETUP = """
import json, random, sys, time
import django
django.setup()
from django.db import transaction
from chat import api
"""
PUBLISH = """
name, channel, seed, count = sys.argv[1:]
chance, number = random.Random(seed), 0

def publish():
    global number
    number += 1
    stored = chance.random() < 0.8
    api.publish(channel, "chat" if stored else "typing", [name, number], store=-1 if stored else 0)
    return number if stored else None

for _ in range(int(count)):
    published = []
    try:
        with transaction.atomic():
            published += [publish() for _ in range(chance.randint(1, 3))]
            if chance.random() < 0.2:
                raise LookupError
    except LookupError:
        published = []
    published.append(publish())
    print(json.dumps([number for number in published if number]), flush=True)
"""
STAY = """
channel, seconds = sys.argv[1:]
with transaction.atomic():
    api.publish(channel, "chat", ["busy", 0], store=-1)
    print(time.monotonic(), flush=True)
    time.sleep(float(seconds))
print(time.monotonic())
"""
STORED = """
    SELECT m.data FROM chat_message m JOIN chat_channel c ON c.id = m.channel_id
    WHERE c.name = ? ORDER BY m.number
"""


class Process:
    """A program that uses `chat.api`, beside the servers; each line of `said` is JSON."""

    def __init__(self, server: Server, output: Path, script: str, *arguments: str) -> None:
        self._output = output
        with Path("/dev/null").open("rb") as nothing, output.open("wb") as log:
            command = ["-c", SETUP + script, *arguments]
            standard = (nothing, log, log)
            self.program = forked.start(command, cwd=ROOT, env=server.env, standard=standard)

    @property
    def said(self) -> list[Any]:
        found = [json.loads(line) for line in self._output.read_text().splitlines()]
        return [said for said in found if not isinstance(said, dict)]  # a line of the log

    async def ended(self) -> None:
        await until(lambda: self.program.poll() is not None, "the program has ended")
        assert self.program.returncode == 0, self._output.read_text()


async def test_outbox(site: Site, fault: Fault, channel: str, tmp_path: Path) -> None:
    reader = await Connection.open(site.other, "reader")
    await reader.subscribe(channel)
    kills = fault.times(KILLS)
    processes = {
        name: Process(
            *(site.other, tmp_path / name, PUBLISH),
            *(name, channel, str(fault.random.random()), str(EACH * kills)),
        )
        for name in (f"process{number}" for number in range(PROCESSES))
    }
    await until(lambda: len(reader.ids(channel)) > 10, "messages arrive")
    for _ in range(kills):
        await asyncio.sleep(fault.random.uniform(0.1, 0.8))
        await asyncio.to_thread(site.one.kill)
        fault.count("kills")
        await asyncio.to_thread(site.one.restart)
    for process in processes.values():
        await process.ended()

    committed = {
        name: [number for line in each.said for number in line] for name, each in processes.items()
    }
    total = sum(map(len, committed.values()))
    fault.count("messages", total)
    await until(lambda: len(rows(site.other, STORED, channel)) >= total, "all are stored")
    stored = [json.loads(data) for (data,) in rows(site.other, STORED, channel)]
    for name, numbers in committed.items():
        found = [number for sender, number in stored if sender == name]
        fault.none("committed messages missing", checks.missing(numbers, found))
        surplus = (Counter(found) - Counter(numbers)).elements()
        fault.none("messages twice, or never committed", [*surplus])
        fault.none("messages out of their publisher's order", checks.inversions(found))
        live = [frame.value for frame in reader.frames if frame.event in ("chat", "typing")]
        heard = [number for sender, number in live if sender == name]
        fault.none("out of order, with those not stored", checks.inversions(heard))
    history = await whole_history(site.other, channel)
    with contextlib.suppress(AssertionError):
        await until(lambda: len(reader.ids(channel)) >= total, "the reader has all")
    ends = {"first": history[0], "last": history[-1]}
    fault.none_of(checks.connection_problems(reader.ids(channel), history, **ends))
    reader.close()


def of_server(reader: Connection, channel: str) -> list[Frame]:
    return [frame for frame in reader.heard(channel) if frame.meta is None]


async def test_busy_transaction(site: Site, fault: Fault, channel: str, tmp_path: Path) -> None:
    """A task publishes, and goes on in its transaction."""
    reader = await Connection.open(site.other, "reader")
    await reader.subscribe(channel)
    names = [channel, *(f"{channel}-{number}" for number in range(4))]
    writers = [
        await Publisher.open(server, f"{name}-{server.port}", name)
        for name in names
        for server in site.servers
    ]
    task = Process(site.one, tmp_path / "task", STAY, channel, str(SECONDS))
    await until(lambda: task.said, "the task has published")
    writing = [asyncio.create_task(writer.publish_for_ever(0.02)) for writer in writers]
    await task.ended()
    await until(lambda: of_server(reader, channel), "what the task has published")
    [published], [begun, committed] = of_server(reader, channel), task.said
    assert published.at - begun > SECONDS / 2
    fault.measure("seconds from the commit to a reader", published.at - committed)
    for each in writing:
        each.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await until(lambda: not any(writer.waiting for writer in writers), "all is answered")
    latencies = [latency for writer in writers for latency in writer.latencies]
    fault.count("messages", len(latencies))
    p99 = quantiles(latencies, n=100)[-1]
    fault.measure("seconds, p99", p99)
    fault.measure("seconds, at most", max(latencies))
    assert p99 < 1.0
    assert max(latencies) < SECONDS / 2
    fault.none("refused", [writer for writer in writers if writer.refused])
    everybody = [reader, *(writer.connection for writer in writers)]
    fault.none("connections closed", [each.uid for each in everybody if not each.open_])
    for each in everybody:
        each.close()

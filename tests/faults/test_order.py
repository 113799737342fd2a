"""Four writers on one channel in two processes, four readers that record (P2, P3)."""

import asyncio
import contextlib
import secrets
import time

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher, until, whole_history

ROUNDS = 1
EACH = 500  # of each writer in a round; each round has a channel of its own
WRITERS = 4
READERS = 4
WINDOW = 200


async def test_order(site: Site, fault: Fault) -> None:
    for _ in range(fault.times(ROUNDS)):
        await one_round(site, fault, f"order-{secrets.token_hex(8)}", EACH)


async def one_round(site: Site, fault: Fault, channel: str, each: int) -> None:
    readers = [await open_at(site, number, "reader") for number in range(READERS)]
    await asyncio.gather(*(reader.subscribe(channel) for reader in readers))
    writers = [
        Publisher(await open_at(site, number, "writer"), channel, WINDOW, readers[number])
        for number in range(WRITERS)
    ]
    total = WRITERS * each
    begun = time.monotonic()
    await asyncio.gather(*(writer.publish(each) for writer in writers))
    assert [(w.refused, w.connection.code) for w in writers] == [(0, None)] * WRITERS
    with contextlib.suppress(AssertionError):
        await until(lambda: all(len(r.frames) >= total + 2 for r in readers), "all have come")
    assert [(len(r.frames), r.code) for r in readers] == [(total + 2, None)] * READERS
    fault.measure("seconds for a round", time.monotonic() - begun)
    fault.count("messages", total)
    history = await whole_history(site.one, channel)
    assert len(history) == total
    for reader in readers:
        live = reader.ids(channel)
        ends = {"first": history[0], "last": history[-1]}
        fault.none_of(checks.connection_problems(live, history, **ends))
        assert live == history
    for each_ in [*readers, *(writer.connection for writer in writers)]:
        each_.close()


async def open_at(site: Site, number: int, kind: str) -> Connection:
    return await Connection.open(site.servers[number % 2], f"{kind}{number}")

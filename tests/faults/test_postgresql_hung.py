"""PostgreSQL stands still, its sockets open: no connection breaks, no question is answered (P1)."""

import asyncio
import contextlib
import time

import pytest

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher, Refused, until, whole_history
from tests.support.servers import Server

HANGS = 1
SECONDS = 10.0  # how long it stands still at least, in all but the first hang
REFUSED_SECONDS = 5.0  # a client waits no longer for its handshake
ANSWER_SECONDS = 15.0  # the writer waits for a statement, then maybe for another connection
BACK_SECONDS = 10.0


async def test_postgresql_hung(site: Site, fault: Fault, channel: str) -> None:
    readers = [await Connection.open(server, f"reader{server.port}") for server in site.servers]
    for reader in readers:
        await reader.subscribe(channel)
    names = ("writer", "other", "late")
    writers = [
        await Publisher.open(s, f"{n}{s.port}", channel) for n in names for s in site.servers
    ]
    for number in range(fault.times(HANGS)):
        await one_hang(site, fault, channel, readers, writers, SECONDS if number else 0.0)
        fault.count("hangs")
    acknowledged = [id for writer in writers for id in writer.acknowledged]
    await until(
        lambda: all(len(r.ids(channel)) >= len(acknowledged) for r in readers),
        "every reader has every message",
    )
    history = await whole_history(site.one, channel)
    fault.count("acknowledged", len(acknowledged))
    fault.count("refused", sum(writer.refused for writer in writers))
    fault.none("false acknowledgements", checks.missing(acknowledged, history))
    fault.none("refused, and stored all the same", checks.missing(history, acknowledged))
    fault.none("partial rows", checks.partial_rows(site.one, channel))
    for reader in readers:
        ends = {"first": history[0], "last": history[-1]}
        fault.none_of(checks.connection_problems(reader.ids(channel), history, **ends))
    for connection in [*readers, *(writer.connection for writer in writers)]:
        connection.close()


async def one_hang(
    site: Site,
    fault: Fault,
    channel: str,
    readers: list[Connection],
    writers: list[Publisher],
    seconds: float,
) -> None:
    """The last two of the writers begin to publish when it stands still."""
    *early, one, other = writers
    writing = [asyncio.create_task(writer.publish_for_ever(0.003)) for writer in early]
    await asyncio.sleep(fault.random.uniform(0.1, 0.3))
    with site.postgres.paused():
        hung_at = time.monotonic()
        refusals = asyncio.gather(*map(refuses, site.servers))
        answers = asyncio.gather(refused(one), refused(other))
        while not (refusals.done() and answers.done() and time.monotonic() - hung_at >= seconds):
            await what_goes_on(fault, channel, readers)
        fault.measure("seconds until a handshake is refused", max(await refusals))
        fault.measure("seconds until a publish is refused", max(await answers))
        fault.measure("seconds hung", time.monotonic() - hung_at)
    back_at = time.monotonic()
    await asyncio.gather(*(serves_again(writer) for writer in early), *map(accepts, site.servers))
    fault.measure("seconds until all works again", time.monotonic() - back_at)
    assert time.monotonic() - back_at < BACK_SECONDS
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await until(lambda: not any(writer.waiting for writer in writers), "all is answered")
    assert all(each.open_ for each in [*readers, *(w.connection for w in writers)])


async def what_goes_on(fault: Fault, channel: str, readers: list[Connection]) -> None:
    """Pings, and messages that are not stored."""
    for reader in readers:
        fault.measure("seconds until a pong", await reader.pinged())
        reader.publish(channel, "passing", "typing")
        await reader.answer("typing", channel)
    await asyncio.sleep(0.1)


async def refuses(server: Server) -> float:
    """A handshake; gives the seconds it took."""
    begun = time.monotonic()
    with pytest.raises(Refused) as refusal:
        await Connection.open(server, "late")
    seconds = time.monotonic() - begun
    assert refusal.value.status == 503
    assert seconds < REFUSED_SECONDS
    return seconds


async def refused(writer: Publisher) -> float:
    """A message that cannot be stored; gives the seconds until its sender knew."""
    begun, before = time.monotonic(), writer.refused
    sending = asyncio.create_task(writer.publish(1))
    await until(lambda: writer.refused > before, "a publish is refused", ANSWER_SECONDS)
    await sending
    return time.monotonic() - begun


async def serves_again(writer: Publisher) -> None:
    before = len(writer.acknowledged)
    await until(lambda: len(writer.acknowledged) > before, "a message is stored again")


async def accepts(server: Server) -> None:
    while True:
        with contextlib.suppress(Refused):
            (await Connection.open(server, "new")).close()
            return

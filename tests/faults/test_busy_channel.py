"""Somebody holds the row of one channel locked, as an admin action, a data migration or psql may:
only what needs that row waits, and is refused alone (P7)."""

import asyncio
import time
from statistics import quantiles

import psycopg

from tests.faults import checks
from tests.faults.conftest import ALONE, SCALE, Fault, Site
from tests.faults.recording import Connection, Publisher, until, whole_history

SECONDS = 20.0 * SCALE if ALONE else 7.0
REFUSED_SECONDS = 5.0
CHANNELS = 4  # on each server, beside the one that is busy
PAUSE_SECONDS = 0.02
LOCK = "SELECT id FROM chat_channel WHERE name = %s FOR UPDATE"


async def test_busy_channel(site: Site, fault: Fault, channel: str) -> None:
    reader = await Connection.open(site.other, "reader")
    await reader.subscribe(channel)
    waiting = [
        await Publisher.open(server, f"w{server.port}", channel, 3) for server in site.servers
    ]
    others = [
        await Publisher.open(server, f"o{server.port}", f"{channel}-{at}")
        for server in site.servers
        for at in range(CHANNELS)
    ]
    for writer in (*waiting, *others):
        await writer.publish(3)
    with psycopg.connect(site.one.env["DATABASE_URL"]) as holder:
        holder.execute(LOCK, [channel])
        held_at = time.monotonic()
        for writer in others:
            writer.latencies.clear()
        running = [asyncio.create_task(each.publish_for_ever(PAUSE_SECONDS)) for each in others]
        running += [asyncio.create_task(each.publish_for_ever()) for each in waiting]
        await asyncio.sleep(SECONDS)
        assert [len(writer.acknowledged) for writer in waiting] == [3, 3]
        latencies = [latency for writer in others for latency in writer.latencies]
        holder.rollback()
    await until(lambda: all(len(w.acknowledged) > 20 for w in waiting), "the channel is free")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await until(lambda: not any(each.waiting for each in (*waiting, *others)), "all is answered")

    fault.count("messages on other channels meanwhile", len(latencies))
    fault.count("messages refused on the busy channel", sum(each.refused for each in waiting))
    fault.measure("p99 on other channels, seconds", quantiles(latencies, n=100)[-1])
    for writer in waiting:
        errors = [each.at for each in writer.connection.frames if each.event == "hotsock.error"]
        assert len(errors) >= 3
        assert errors[0] - held_at > REFUSED_SECONDS - 0.5
        fault.measure("seconds until the first was refused", errors[0] - held_at)
        sent = [
            each.value[1] for each in reader.heard(channel) if each.sender == writer.connection.uid
        ]
        fault.none("messages out of order", [*sent] if sent != sorted(sent) else [])
    assert quantiles(latencies, n=100)[-1] < 1.0
    fault.none("refused on other channels", [each for each in others if each.refused])
    everybody = [reader, *(each.connection for each in (*waiting, *others))]
    fault.none("connections closed", [each.uid for each in everybody if not each.open_])

    history = await whole_history(site.one, channel)
    for writer in waiting:
        fault.none("acknowledged messages missing", checks.missing(writer.acknowledged, history))
    await until(lambda: len(reader.ids(channel)) >= len(history), "the reader has all")
    fault.none_of(checks.connection_problems(reader.ids(channel), history))
    for each in everybody:
        each.close()

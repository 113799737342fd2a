"""Redis stands still, its sockets open (P3; design.md section 4, "Between processes")."""

import statistics
import time

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher, until, whole_history

SECONDS = 3  # times SCALE: how long it stands still, and how long is measured before
PAUSE_SECONDS = 0.01
LIMIT_SECONDS = 30


async def test_redis_hung(site: Site, fault: Fault, channel: str) -> None:
    near, far = await Connection.open(site.one, "near"), await Connection.open(site.other, "far")
    for reader in (near, far):
        await reader.subscribe(channel)
    writer = await Publisher.open(site.one, "writer", channel, 50)
    seconds = fault.times(SECONDS)
    before = await latencies(writer, seconds)
    with site.redis.paused():
        during = await latencies(writer, seconds)
        late = Connection.open(site.one, "late")  # handshakes go on too
        (await late).close()
    again_at = time.monotonic()
    await until(
        lambda: all(len(r.ids(channel)) >= len(writer.acknowledged) for r in (near, far)),
        "every reader has every message",
        LIMIT_SECONDS,
    )
    fault.measure("seconds until the last had all", time.monotonic() - again_at)
    fault.measure("p99 before, ms", p99(before) * 1000)
    fault.measure("p99 during, ms", p99(during) * 1000)
    fault.count("acknowledged meanwhile", len(during))
    fault.count("refused", writer.refused)
    history = await whole_history(site.other, channel)
    fault.none("acknowledged messages missing", checks.missing(writer.acknowledged, history))
    for reader in (near, far):
        ends = {"first": history[0], "last": history[-1]}
        fault.none_of(checks.connection_problems(reader.ids(channel), history, **ends))
        reader.close()
    writer.connection.close()


async def latencies(writer: Publisher, seconds: float) -> list[float]:
    """Of all that was published and acknowledged within these seconds."""
    start = len(writer.latencies)
    sent = writer.sent
    await writer.publish(round(seconds / PAUSE_SECONDS), PAUSE_SECONDS)
    assert writer.connection.open_
    assert len(writer.latencies) - start == writer.sent - sent, "all were acknowledged"
    return writer.latencies[start:]


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]

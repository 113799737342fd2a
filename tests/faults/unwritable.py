"""A server whose database takes no writes for a while, though it answers: what is promised then."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tests.faults import checks
from tests.faults.conftest import Fault, alerting
from tests.faults.recording import Connection, Publisher, until, whole_history
from tests.support.calls import http_client
from tests.support.servers import Server

PAUSE_SECONDS = 0.003
MANY = 2_000  # messages: there is no room for so many


async def outage(
    fault: Fault,
    server: Server,
    channel: str,
    unwritable: Callable[[], AbstractContextManager[object]],
    sentence: str,
) -> None:
    """Within `unwritable()` every publish is refused and /readyz says `sentence`; what needs no
    database goes on. Then all works again, without a restart, and nothing is lost."""
    reader = await Connection.open(server, "reader")
    await reader.subscribe(channel)
    writer = await Publisher.open(server, "writer", channel)
    for _ in range(fault.times(1)):
        await writer.publish(5)
        with alerting(fault, server), unwritable():
            before, sent = writer.refused, writer.sent
            while writer.refused < before + 3:
                await writer.publish(1, PAUSE_SECONDS)
                assert writer.sent - sent < MANY
            await ready(server, 503, {"status": "unavailable", "problems": [sentence]})
            await goes_on(reader, channel)
        back_at = time.monotonic()
        acknowledged = len(writer.acknowledged)
        while len(writer.acknowledged) == acknowledged:
            await writer.publish(1, PAUSE_SECONDS)
        fault.measure("seconds until it stores again", time.monotonic() - back_at)
        await ready(server, 200, {"status": "ok"})
        (await Connection.open(server, "later")).close()
        fault.count("outages")
    history = await whole_history(server, channel)
    fault.count("acknowledged", len(writer.acknowledged))
    fault.count("refused", writer.refused)
    fault.none("false acknowledgements", checks.missing(writer.acknowledged, history))
    fault.none("refused, and stored all the same", checks.missing(history, writer.acknowledged))
    await until(lambda: len(reader.ids(channel)) >= len(history), "the reader has all")
    ends = {"first": history[0], "last": history[-1]}
    fault.none_of(checks.connection_problems(reader.ids(channel), history, **ends))
    for connection in (reader, writer.connection):
        connection.close()


async def ready(server: Server, status: int, answer: dict[str, Any]) -> None:
    """Once what /readyz says is a second old at most."""
    said: list[Any] = []
    async with http_client(server) as http:

        async def asked() -> bool:
            response = await http.get("/readyz")
            said[:] = [response.status_code, response.json()]
            return said == [status, answer]

        deadline = time.monotonic() + 30
        while not await asked():
            assert time.monotonic() < deadline, said


async def goes_on(reader: Connection, channel: str) -> None:
    await reader.pinged()
    reader.publish(channel, "passing", "typing")
    await reader.answer("typing", channel)

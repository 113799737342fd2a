"""An exception that nobody expects in each background task (P7, P8)."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import PATIENCE_SECONDS, Connection, Publisher, until, whole_history
from tests.support.servers import Server, keys_of, redis_url, start_server
from tests.support.webhook_receiver import Receiver

FAULTY = {"DJANGO_SETTINGS_MODULE": "tests.faults.faulty"}
PAUSE_SECONDS = 16.0  # between two failures of the same task: five in a minute end the process


@pytest.fixture
def backend() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def pair(site: Site, backend: Receiver, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    env = {"DATABASE_URL": site.postgres.database(), "REDIS_URL": redis_url(site.redis)}
    env |= {**backend.environment, **FAULTY, "CLIENT_FRAMES_PER_SECOND": "0"}
    with (
        start_server("uvicorn", tmp_path, **env) as one,
        start_server("uvicorn", tmp_path, **env, **keys_of(one)) as other,
    ):
        yield one, other


async def test_each(
    pair: tuple[Server, Server], backend: Receiver, fault: Fault, channel: str
) -> None:
    """It is logged, and starts again; nobody notices more than a moment's delay."""
    one, other = pair
    await until(lambda: all(map(ready, pair)), "both are ready")
    reader, writer = await Connection.open(other, "reader"), await Publisher.open(one, "w", channel)
    await reader.subscribe(channel)
    for number in range(fault.times(1)):
        await asyncio.sleep(PAUSE_SECONDS if number else 0.0)
        await one_failure(pair, number + 1, reader, writer)
        fault.count("exceptions", 2 * len(tasks(one)))
    acknowledged = writer.acknowledged
    await until(lambda: len(reader.ids(channel)) >= len(acknowledged), "every message")
    history = await whole_history(one, channel)
    await backend.wait(3, lambda found: found.type == "connected")
    fault.none("acknowledged messages missing", checks.missing(acknowledged, history))
    ends = {"first": history[0], "last": history[-1]}
    fault.none_of(checks.connection_problems(reader.ids(channel), history, **ends))
    fault.none(
        "connections closed", [each for each in (reader, writer.connection) if not each.open_]
    )


async def one_failure(
    pair: tuple[Server, Server], times: int, reader: Connection, writer: Publisher
) -> None:
    """The last of so many: all tasks of both fail, run again, and do their work."""
    for server in pair:
        server.send_signal(signal.SIGUSR1)
    await writer.publish(10)
    for each in pair:  # /readyz writes
        await until(lambda each=each: ready(each) and run_again(each, times), "all run again")
    heard = len(reader.heard(writer.channel, "typing"))
    async with asyncio.timeout(PATIENCE_SECONDS):  # lost until the link is there again
        while len(reader.heard(writer.channel, "typing")) == heard:
            writer.connection.publish(writer.channel, times, "typing")
            await asyncio.sleep(0.1)
    await until(lambda: all(map(ready, pair)), "both are ready")
    await writer.publish(10)


@pytest.mark.parametrize("kind", ["uvicorn", "workers"])
async def test_for_ever(site: Site, fault: Fault, channel: str, kind: str, tmp_path: Path) -> None:
    """The process closes its connections and ends with an exit code that says so; where there are
    several workers another takes its place."""
    env = {"DATABASE_URL": site.postgres.database(), "REDIS_URL": redis_url(site.redis), **FAULTY}
    with start_server(kind, tmp_path, **env) as server:
        clients = [await Connection.open(server, f"c{number}") for number in range(8)]
        pid = workers(server)[0] if kind == "workers" else server.pid
        os.kill(pid, signal.SIGUSR2)
        if kind == "uvicorn":
            assert await asyncio.to_thread(server.wait) == 1
            await until(lambda: not any(each.open_ for each in clients), "all are closed")
        else:
            await until(lambda: pid not in workers(server), "it has ended")
            await until(lambda: len(workers(server)) == 2 and ready(server), "another is there")
            assert f"Worker {pid} exited with 1" in server.log.read_text()
        fault.none("other codes", [each.code for each in clients if each.code not in (None, 1012)])


def tasks(server: Server) -> set[str]:
    return set(re.findall("The (.*) runs", server.log.read_text()))


def run_again(server: Server, times: int) -> bool:
    """Each task and the writer have failed so often, with a traceback, and been started anew."""
    log = server.log.read_text()
    failed, runs = re.findall("The (.*) failed\\nTraceback", log), re.findall("The (.*) runs", log)
    writer = log.count("The writer failed, and goes on\nTraceback")
    again = all(failed.count(name) == times == runs.count(name) - 1 for name in tasks(server))
    return again and writer == times


def ready(server: Server) -> bool:
    answer = httpx.get(f"{server.url}/readyz", trust_env=False, timeout=10)
    return answer.json() == {"status": "ok"}


def workers(server: Server) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return list(map(int, children.split()))

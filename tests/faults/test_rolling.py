"""Rolling restarts under load (P1, P3): who was connected comes back and catches up."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Follower, history, until
from tests.faults.retrying import RetryingPublisher
from tests.support.calls import http_client
from tests.support.servers import Server, keys_of, start_server

RESTARTS = 1
FOLLOWERS = 20
PUBLISHERS = 3
PAUSE_SECONDS = 0.02
AWAY_SECONDS = 10.0
EXIT_SECONDS = 10.0
SPREAD_SECONDS = 0.5  # over a second each server closes its connections


class Load:
    """Followers and publishers that take any of `servers`, as by a load balancer that knows which
    of them are `down`, and not which are about to be."""

    def __init__(self, servers: tuple[Server, ...], fault: Fault, channel: str) -> None:
        self.fault = fault
        self.channel = channel
        self.one = servers[0]
        self.down: Server | None = None

        def any_server() -> Server:
            return fault.random.choice([server for server in servers if server is not self.down])

        self.followers = [Follower(any_server, f"f{n}", channel) for n in range(FOLLOWERS)]
        self.publishers = [
            RetryingPublisher(any_server, f"p{n}", channel) for n in range(PUBLISHERS)
        ]

    async def run(self, restart: Callable[[int], None], times: int) -> None:
        async with AsyncExitStack() as followers:
            for follower in self.followers:
                await followers.enter_async_context(follower.following())
            async with AsyncExitStack() as publishers:
                for publisher in self.publishers:
                    await publishers.enter_async_context(publisher.publishing(PAUSE_SECONDS))
                for number in range(times):
                    await self._restarted(restart, number)
            await self._check()

    async def _restarted(self, restart: Callable[[int], None], number: int) -> None:
        lives = [follower.lives[-1] for follower in self.followers]
        await asyncio.to_thread(restart, number)
        await until(self._all_are_back, "every follower is back", AWAY_SECONDS)
        self.fault.count("restarts")
        self._check_closes([life for life in lives if not life.open_])

    def _all_are_back(self) -> bool:
        return all(follower.caught_up for follower in self.followers)

    def _check_closes(self, closed: list[Connection]) -> None:
        """Each said that it restarts, and not all at once."""
        self.fault.count("connections closed", len(closed))
        codes = [life.code for life in closed if life.code != 1012]
        self.fault.none("closed with another code than 1012", codes)
        times = sorted(life.ended_at for life in closed)
        if len(times) >= FOLLOWERS / 3:  # a tenth of a second lies between few
            spread = times[-1] - times[0]
            self.fault.measure("share closed within 100 ms", crowd(times, 0.1) / len(times))
            assert spread > SPREAD_SECONDS

    async def _check(self) -> None:
        fault = self.fault
        messages = await whole(self.one, self.channel)
        ids = [id for id, _ in messages]
        acknowledged = [id for publisher in self.publishers for id in publisher.acknowledged]
        await until(
            lambda: all(len(follower.known) >= len(ids) for follower in self.followers),
            "every follower has every message",
        )
        fault.count("acknowledged", len(acknowledged))
        fault.count("publishes repeated", sum(publisher.retries for publisher in self.publishers))
        fault.none("acknowledged messages missing", checks.missing(acknowledged, ids))
        fault.none("stored twice", checks.duplicates([data for _, data in messages]))
        fault.none("stored, and never acknowledged", checks.missing(ids, acknowledged))
        for follower in self.followers:
            fault.none("lost after catch-up", checks.missing(ids, follower.known))
            fault.none("shown out of order", checks.disorder(list(follower.known), ids))
            for life in follower.lives:
                live = life.ids(self.channel)
                fault.none_of(checks.connection_problems(live, ids))
            fault.measure("seconds until back", max(follower.away, default=0.0))
        assert all(seconds < AWAY_SECONDS for f in self.followers for seconds in f.away)


def crowd(times: list[float], seconds: float) -> int:
    """The most that come within so many seconds."""
    return max(sum(begin <= at < begin + seconds for at in times) for begin in times)


async def whole(server: Server, channel: str) -> list[tuple[str, str]]:
    """Id and data of a channel's messages, as a new client reads them."""
    connection = await Connection.open(server, "historian")
    await connection.subscribe(channel)
    async with http_client(server) as http:
        found = await history(http, connection, channel)
    connection.close()
    return [(message["id"], json.dumps(message["data"])) for message in found]


async def test_servers(site: Site, fault: Fault, channel: str) -> None:
    """One of two is stopped, and started again on its port, in turn."""
    load = Load(site.servers, fault, channel)

    def restart(number: int) -> None:
        server = site.servers[number % 2]
        begun = time.monotonic()
        assert server.stop() == 0
        fault.measure("seconds until it had ended", time.monotonic() - begun)
        assert time.monotonic() - begun < EXIT_SECONDS
        load.down = server
        server.start(server.healthy)
        load.down = None

    await load.run(restart, fault.times(2 * RESTARTS))


@pytest.fixture
def workers(site: Site, tmp_path: Path) -> Iterator[Server]:
    """Two behind one socket, on the site's PostgreSQL and Redis."""
    env = {"DATABASE_URL": site.one.env["DATABASE_URL"], **site.broker}
    env |= {"CLIENT_FRAMES_PER_SECOND": "0", **keys_of(site.one)}
    with start_server("workers", tmp_path, **env) as server:
        yield server


async def test_workers(workers: Server, fault: Fault, channel: str) -> None:
    """SIGHUP exchanges them one by one; nobody is refused meanwhile."""

    def exchange(number: int) -> None:
        before = children(workers.pid)
        workers.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while (now := children(workers.pid)) & before or len(now) != len(before):
            assert time.monotonic() < deadline, "the workers are not exchanged"
            time.sleep(0.02)

    await Load((workers,), fault, channel).run(exchange, fault.times(RESTARTS))


def children(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found if not _is_dead(int(child))}


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True

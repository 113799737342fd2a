"""What fault tests share: the figures of a run, and a site to break."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as redis_client

from tests.faults import results
from tests.faults.proxy import Proxy
from tests.support.metrics import metrics
from tests.support.servers import (
    Postgres,
    Program,
    Server,
    _pongs,
    keys_of,
    production,
    redis_url,
    start_postgres,
    start_redis,
    start_server,
)

ALONE = "FAULT_SCALE" in os.environ  # `make test-faults`: no other tests run beside
BROKER = os.environ.get("BROKER", "")  # what carries announcements: redis, postgresql
# Those that break a broker, and those that go without Redis in `make test`.
OF_BROKER = {"redis": "redis", "redis_hung": "redis", "listen": "postgresql"}
WITHOUT_REDIS = {"frozen", "order", "outbox", "postgresql", "read_only", "same_host"}
SCALE = float(os.environ.get("FAULT_SCALE", "1"))
OUTCOME = pytest.StashKey[str]()
# What grows at a fault, and has an alert of docs/deploy/alerts.yml. Of the others some are no fault
# of the site's (order, subscribing, same_host, outbox); kill, acks, unannounced and follow end
# servers, as rolling does.
ENDED = "chat_client_num_client_disconnects_total"
NOT_WRITTEN = "chat_writer_refused_total"
BROKEN = "chat_broker_failures_total"
STARTED = "process_start_time_seconds"
HARMLESS = {"lock", "for_ever[uvicorn]", "for_ever[workers]"}  # to the servers that they are given
SERVERS = ("pair", "servers", "server", "workers", "site")  # fixtures: the first that is there
ALERTING = {
    "busy_channel": (NOT_WRITTEN, {"reason": "locked"}),
    "closes": (ENDED, {}),
    "exceptions": ("chat_background_task_failures_total", {}),
    "frozen": ("chat_takeovers_total", {}),
    "full_disk": (NOT_WRITTEN, {"reason": "unavailable"}),
    "listen": (BROKEN, {}),
    "locked_table": (NOT_WRITTEN, {}),
    "postgresql": (NOT_WRITTEN, {"reason": "unavailable"}),
    "postgresql_hung": (NOT_WRITTEN, {"reason": "unavailable"}),
    "read_only": (NOT_WRITTEN, {"reason": "unavailable"}),
    "reconnect": (ENDED, {}),
    "redis": (BROKEN, {}),
    "redis_hung": (BROKEN, {}),
    "rolling": (STARTED, {}),
    "slow_reader": ("chat_client_num_server_disconnects_total", {"code": "4410"}),
    "soak": (ENDED, {}),
}


@dataclass
class Fault:
    """One run of a fault: its schedule's seed, and what it counted and measured."""

    name: str
    case: str
    seed: int
    broker: str = ""  # of its site
    numbers: Counter[str] = field(default_factory=Counter)
    measured: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._begun = time.monotonic()

    def times(self, small: int) -> int:
        """How often: the small number of `make test` times SCALE, at least once."""
        return max(1, round(small * SCALE))

    def count(self, what: str, number: int = 1) -> None:
        self.numbers[what] += int(number)

    def measure(self, what: str, value: float) -> None:
        """Keeps the greatest."""
        self.measured[what] = round(max(value, self.measured.get(what, value)), 4)

    def none(self, what: str, found: Sequence[Any]) -> None:
        """Counts, and fails where there is any."""
        self.numbers[what] += len(found)
        assert not found, f"{len(found)} {what}: {found[:5]} (seed {self.seed})"

    def none_of(self, problems: dict[str, list[Any]]) -> None:
        for what, found in problems.items():
            self.none(what, found)

    def result(self, outcome: str) -> dict[str, Any]:
        return {
            "fault": self.name,
            "case": self.case,
            "broker": self.broker,
            "seed": self.seed,
            "scale": SCALE,
            "numbers": dict(self.numbers),
            "measured": self.measured,
            "outcome": outcome,
            "seconds": round(time.monotonic() - self._begun, 1),
            "commit": results.commit(),
        }


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    """Takes FAULT_SEED, or draws one. Under `make test-faults` its figures go to the results."""
    seed = int(os.environ.get("FAULT_SEED") or secrets.randbits(32))
    name = request.path.stem.removeprefix("test_")
    if BROKER == "postgresql" and OF_BROKER.get(name) == "redis":
        pytest.skip("BROKER=postgresql")
    fault = Fault(name, request.node.name.removeprefix("test_"), seed)
    yield fault
    if ALONE:
        results.append(fault.result(request.node.stash.get(OUTCOME, "error")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[OUTCOME] = report.outcome
    return report


@contextlib.contextmanager
def alerting(fault: Fault, *servers: Server) -> Iterator[None]:
    """The fault's metric grows meanwhile in one of these, which start anew or not."""
    name, labels = ALERTING[fault.name]
    before = [metrics(server)(name, **labels) for server in servers]
    yield
    after = [metrics(server)(name, **labels) for server in servers]
    assert any(now > then for now, then in zip(after, before, strict=True)), f"{name} is as before"


@pytest.fixture(autouse=True)
def _alerting(request: pytest.FixtureRequest, fault: Fault) -> Iterator[None]:
    """Of the servers that a test is given; those that it starts are its own business."""
    given = [name for name in SERVERS if name in request.fixturenames]
    with contextlib.ExitStack() as stack:
        if given and fault.name in ALERTING and fault.case not in HARMLESS:
            found: Any = request.getfixturevalue(given[0])
            servers = [found] if isinstance(found, Server) else getattr(found, "servers", found)
            stack.enter_context(alerting(fault, *servers))
        yield


@dataclass
class Site:
    """Two servers on one PostgreSQL and, unless that carries announcements, one Redis, all its own.
    `other` reaches what carries them by `link`."""

    postgres: Postgres
    redis: Program | None
    link: Proxy
    one: Server
    other: Server

    @property
    def broker(self) -> dict[str, str]:
        """What another server of the site needs to be heard."""
        return {"REDIS_URL": redis_url(self.redis) if self.redis else ""}

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.one, self.other

    def ask_redis(self) -> redis_client.Redis:
        return redis_client.Redis(port=self.redis.port)

    def start_redis(self) -> None:
        self.redis.start(lambda: _pongs(self.redis.port))

    def start_postgres(self) -> None:
        self.postgres.start(self.postgres.ready)

    def mend(self) -> None:
        """Whatever a test before has left broken."""
        self.link.delay = 0.0
        if self.redis and not self.redis.running:
            self.start_redis()
        if not self.postgres.running:
            self.start_postgres()
        for server in self.servers:
            if not server.running:
                server.restart()
        deadline = time.monotonic() + 30
        while not all(map(_linked, self.servers)):
            assert time.monotonic() < deadline, "the servers do not hear each other"
            time.sleep(0.05)


def _linked(server: Server) -> bool:
    """Ready, and neither alone nor degraded."""
    answer = httpx.get(f"{server.url}/readyz", trust_env=False, timeout=10)
    return answer.status_code == 200 and answer.json() == {"status": "ok"}


@pytest.fixture(scope="package")
def _sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """By broker; both on one PostgreSQL. No Redis runs for the one that goes without it."""
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("faults")
        postgres = stack.enter_context(start_postgres(directory))
        yield cache(lambda broker: started(broker, postgres, directory, stack))


def started(broker: str, postgres: Postgres, directory: Path, stack: ExitStack) -> Site:
    redis = stack.enter_context(start_redis(directory)) if broker == "redis" else None
    link = stack.enter_context(Proxy(redis.port if redis else postgres.port).running())
    address, through = postgres.database(), f"127.0.0.1:{link.port}"
    env = {**production(), "CLIENT_FRAMES_PER_SECOND": "0", "DATABASE_URL": address}
    env |= {"REDIS_URL": redis_url(redis) if redis else ""}
    one = stack.enter_context(start_server("uvicorn", directory, port=lasting_port(), **env))
    env |= keys_of(one)
    if redis:
        env |= {"REDIS_URL": f"redis://{through}/0"}
    else:
        env |= {"BROKER_URL": f"postgres://postgres@{through}/{address.rpartition('/')[2]}"}
    other = stack.enter_context(start_server("uvicorn", directory, port=lasting_port(), **env))
    return Site(postgres, redis, link, one, other)


def lasting_port() -> int:
    """One that is still free when its server has been stopped and starts again: not of those that
    clients' sockets take."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(10_000, 30_000)))
            port: int = probe.getsockname()[1]
            return port


@pytest.fixture
def site(_sites: Callable[[str], Site], fault: Fault) -> Site:
    usual = "postgresql" if fault.name in WITHOUT_REDIS else "redis"
    fault.broker = OF_BROKER.get(fault.name, BROKER or usual)
    site = _sites(fault.broker)
    site.mend()
    return site


@pytest.fixture
def channel() -> str:
    """One that no other test uses."""
    return f"fault-{secrets.token_hex(8)}"

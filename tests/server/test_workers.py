"""`manage.py serve --workers`: several processes behind one address."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import pytest

from chat.server import workers as supervision
from chat.server.workers import Supervisor
from tests.support.metrics import Metrics, metrics
from tests.support.servers import (
    SHORT_LEASE,
    Postgres,
    Program,
    Server,
    free_port,
    manage,
    server_environment,
    start_server,
)

LIMIT_SECONDS = 30


@pytest.fixture
def linked(postgres: Postgres) -> dict[str, str]:
    return {"DATABASE_URL": postgres.database()}


@pytest.fixture
def two(linked: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    with start_server("workers", tmp_path, **linked) as server:
        until(lambda: "Ctrl-C ends the server." in server.log.read_text())
        yield server


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def workers(server: Program) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(pid) for pid in children.split() if is_worker(pid)]


def is_worker(pid: str) -> bool:
    try:
        return b"--as-worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def runs(pid: int) -> bool:
    return is_worker(str(pid))


def pending(pid: int) -> bool:
    """Whether a signal waits for this process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"ShdPnd:\s*(\w+)", status)[0], 16) != 0


def ready(server: Program) -> int:
    """How many workers have begun to answer so far."""
    return len(re.findall("Application startup complete", server.log.read_text()))


def test_their_life(two: Server) -> None:
    """As many as were asked for, of which each gives the metrics of all; one that dies is started
    again; SIGHUP exchanges all while the address answers; they end together."""
    dead, other = workers(two)
    measured(two, [dead, other])
    os.kill(other, signal.SIGSTOP)
    os.kill(dead, signal.SIGSTOP)
    os.kill(other, signal.SIGCONT)
    assert measured(two, [other])("chat_workers_silent") == 1
    os.kill(dead, signal.SIGCONT)
    os.kill(dead, signal.SIGKILL)
    until(lambda: len(workers(two)) == 2 and dead not in workers(two) and ready(two) == 3)
    assert other in workers(two)
    before = workers(two)
    assert measured(two, before)("chat_workers_silent") == 0
    two.send_signal(signal.SIGHUP)

    def exchanged() -> bool:
        assert two.healthy()
        now = workers(two)
        return len(now) == 2 and not set(now) & set(before)

    until(exchanged)
    pids = workers(two)
    assert two.stop() == 0
    assert not any(map(runs, pids))


def measured(server: Server, pids: list[int]) -> Metrics:
    """The metrics, which have the numbers of these workers."""
    found = metrics(server)
    assert found.of("chat_node_num_clients", "process") == {*map(str, pids)}
    assert found("chat_database_up") == 1
    return found


def test_they_end_when_their_supervisor_is_killed(two: Server) -> None:
    pids = workers(two)
    two.kill()
    until(lambda: not any(map(runs, pids)))


def test_asked_twice_they_end_at_once(two: Server) -> None:
    pids = workers(two)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # these cannot end in order
    two.send_signal(signal.SIGTERM)
    until(lambda: pending(pids[0]))  # it has been asked, and cannot hear
    two.send_signal(signal.SIGTERM)
    two.wait()
    assert not any(map(runs, pids))


def test_told_to_end_while_one_is_exchanged_they_end(two: Server) -> None:
    before = workers(two)
    two.send_signal(signal.SIGHUP)
    until(lambda: set(workers(two)) - {*before})
    [new] = set(workers(two)) - {*before}
    os.kill(new, signal.SIGSTOP)  # it will never be ready
    begun = time.monotonic()
    assert two.stop() == 0
    assert time.monotonic() - begun < 10
    assert not any(map(runs, [new, *before]))


def test_one_that_hangs_when_it_is_exchanged_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STOP_TIMEOUT_SECONDS", 0.3)
    handlers = {each: signal.getsignal(each) for each in (SIGHUP, SIGINT, SIGTERM)}
    hangs = "trap '' TERM; printf r >&{}; sleep 60 & wait"
    command = lambda listening, pair: ["bash", "-c", hangs.format(pair)]  # noqa: E731
    pids: list[int] = []

    def exchange() -> None:
        pids.extend(worker.process.pid for worker in supervisor.workers)
        os.kill(os.getpid(), SIGHUP)
        until(lambda: {worker.process.pid for worker in supervisor.workers}.isdisjoint(pids))
        os.kill(os.getpid(), SIGTERM)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        meanwhile = threading.Thread(target=exchange)
        supervisor = Supervisor(listening, 1, command, meanwhile.start)
        try:
            assert supervisor.run() == SIGKILL  # the second did not hear SIGTERM, either
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)
        meanwhile.join()
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_more_than_one_needs_postgresql(tmp_path: Path, redis_url: str) -> None:
    env = server_environment(tmp_path, REDIS_URL=redis_url)
    refused = manage(env, "serve", "--workers", "2", "--port", str(free_port()))
    assert refused.returncode == 1
    assert "More than one worker needs PostgreSQL in DATABASE_URL." in refused.stderr
    assert "Traceback" not in refused.stderr


def test_none_at_all_is_refused(tmp_path: Path) -> None:
    refused = manage(server_environment(tmp_path), "serve", "--workers", "0")
    assert "--workers must be 1 or more." in refused.stderr


def test_a_second_server_on_sqlite_is_refused(tmp_path: Path) -> None:
    with start_server("uvicorn", tmp_path) as first:
        second = manage(first.env, "serve", "--port", str(free_port()))
        assert second.returncode == 1
        assert "serves from this database already" in second.stderr
        assert first.healthy()


def test_a_server_that_was_killed_keeps_none_from_starting(tmp_path: Path) -> None:
    first = start_server("uvicorn", tmp_path, **SHORT_LEASE)
    first.kill()
    with start_server("uvicorn", tmp_path, **SHORT_LEASE) as second:
        assert second.healthy()

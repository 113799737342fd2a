"""The pool of PostgreSQL: it finds the database again soon, however long that was away; it holds up
no process that ends."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from chat.store.databases import SERVER_SESSION, Connection, begin, limit_statements
from tests.support import forked
from tests.support.servers import ROOT, server_environment

WAIT_SECONDS = 30.0
FAILURES = 30  # of two that try side by side: for 3 s

pytestmark = pytest.mark.usefixtures("postgres_default")


@pytest.fixture
def pool() -> Any:
    pool = connection.pool  # type: ignore[attr-defined]
    yield pool
    pool.close()


def test_an_attempt_that_failed_is_followed_by_others_for_as_long_as_it_takes(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at longer and longer intervals, nor for two seconds only."""
    connect, failures = Connection.connect, 0

    def fail_often(*arguments: Any, **parameters: Any) -> Any:
        nonlocal failures
        if failures < FAILURES:
            failures += 1
            raise psycopg.OperationalError("away")
        return connect(*arguments, **parameters)

    monkeypatch.setattr(Connection, "connect", fail_often)
    pool.open()
    pool.putconn(pool.getconn(WAIT_SECONDS))
    assert failures == FAILURES


def test_whoever_finds_one_that_is_broken_meets_no_other(pool: Any) -> None:
    pool.open()
    held = [pool.getconn(WAIT_SECONDS) for _ in range(5)]
    address = held[0].info.dsn
    pids = [each.info.backend_pid for each in held]
    for each in held:
        pool.putconn(each)
    with psycopg.connect(address) as other:
        other.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [pids])
    found = pool.getconn(WAIT_SECONDS)
    assert found.info.backend_pid not in pids
    pool.putconn(found)
    assert pool.get_stats()["connections_lost"] == 1


def settings_of_session(cursor: Any) -> list[str]:
    names = "application_name", "lock_timeout", "idle_in_transaction_session_timeout"
    return [cursor.execute(f"SHOW {name}").fetchone()[0] for name in names]


def in_a_transaction() -> tuple[list[str], list[str]]:
    """And after it, in the same session."""
    with connection.cursor() as cursor:
        cursor.execute(begin())
        within = settings_of_session(cursor)
        cursor.execute("COMMIT")
        return within, settings_of_session(cursor)


def test_the_limits_of_the_servers_transactions_end_with_them() -> None:
    """A view, or whoever a pooler gives the session to, may take its time."""
    with ThreadPoolExecutor(1, initializer=limit_statements, initargs=(5.0, 0.05)) as writer:
        within, after = writer.submit(in_a_transaction).result()
    assert within == [SERVER_SESSION, "50ms", "5s"]
    assert after[0] != SERVER_SESSION
    assert after[1:] == ["0", "0"]


LOCK = "SELECT pg_advisory_lock(4711)"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = current_database() AND query = %s"
)


def wait_in_vain() -> None:
    with connection.cursor() as cursor, pytest.raises(OperationalError, match="did not answer"):
        cursor.execute(LOCK)
    connection.close()


def test_who_gives_up_leaves_no_session_that_waits_for_a_lock() -> None:
    with ThreadPoolExecutor(1, initializer=limit_statements, initargs=(0.2,)) as reader:
        with connection.cursor() as holder:
            holder.execute(LOCK)
            reader.submit(wait_in_vain).result()
            assert holder.execute(WAITING, [LOCK]).fetchone() == (0,)
        connection.close()


PUBLISHING = """
import time
from chat import api
api.publish("exit", "chat", store=-1)
print("done", time.monotonic(), flush=True)
"""
# Registered before ours, so it is called after it.
SCRIPT = f"""
import atexit, threading
atexit.register(lambda: print(*(thread.name for thread in threading.enumerate())))
import django
django.setup()
{PUBLISHING}
"""


@pytest.mark.parametrize(
    "arguments", [["manage.py", "shell", "-v0", "-c", PUBLISHING], ["-c", SCRIPT]]
)
def test_a_process_ends_when_its_work_is_done(
    arguments: list[str], postgres_database: str, tmp_path: Path
) -> None:
    """Without waiting for the threads of the pool: the finaliser of one may wait 20 s."""
    env = server_environment(tmp_path, DATABASE_URL=postgres_database)
    outcome = forked.run(arguments, cwd=ROOT, env=env)
    ended = time.monotonic()
    assert (outcome.returncode, outcome.stderr) == (0, "")
    done, *threads = outcome.stdout.splitlines()
    assert threads in ([], ["MainThread"])
    assert ended - float(done.split()[1]) < 4.5

"""/healthz says that the process is up, /readyz whether it can work (protocol.md section 1)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import RequestFactory

from chat.http import health
from chat.runtime import node as nodes
from chat.store.databases import DatabaseUnavailable
from chat.store.operations.probe import Probe
from chat.store.transaction import Operation
from tests.support.described import check_answer
from tests.support.servers import (
    Postgres,
    Program,
    Server,
    free_port,
    redis_url,
    start_postgres,
    start_redis,
    start_server,
)

Parts = dict[str, Program]
Said = tuple[int, str, list[str]]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """What a server leans on, by the name that /readyz calls it."""
    redis, postgres = start_redis(tmp_path), start_postgres(tmp_path)
    with redis, postgres:
        yield {"The database": postgres, "Redis": redis}


READY = (200, "ok", [])


@pytest.fixture
def leaning(parts: Parts, tmp_path: Path) -> Iterator[Server]:
    """A server on `parts`."""
    postgres = parts["The database"]
    assert isinstance(postgres, Postgres)
    env = {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url(parts["Redis"])}
    with start_server("uvicorn", tmp_path, **env) as server:
        yield server


def readiness(server: Server) -> Said:
    response = httpx.get(f"{server.url}/readyz", timeout=10)
    said = response.json()
    check_answer("GET", "/readyz", response.status_code, said)
    return response.status_code, said["status"], said.get("problems", [])


def until_ready(server: Server) -> None:
    until_says(server, lambda said: said == READY)


def until_says(server: Server, expected: Callable[[Said], bool]) -> Said:
    """Fails after 10 s: what it says may be a second old."""
    end = time.monotonic() + 10
    while not expected(said := readiness(server)):
        assert time.monotonic() < end, said
        time.sleep(0.05)
    return said


def test_both_say_that_all_is_well(any_server: Server) -> None:
    for path in ("healthz", "readyz"):
        response = httpx.get(f"{any_server.url}/{path}")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_both_answer_those_who_ask_from_inside(tmp_path: Path) -> None:
    env = {"ALLOWED_HOSTS": "chat.example.org", "HTTPS": "true"}
    with start_server("uvicorn", tmp_path, **env) as server:
        for path in ("healthz", "readyz"):
            assert httpx.get(f"{server.url}/{path}").status_code == 200
        assert httpx.get(f"{server.url}/").status_code == 400


@pytest.mark.parametrize(
    ("part", "does", "status", "word"),
    [("The database", "take a write", 503, "unavailable"), ("Redis", "answer", 200, "degraded")],
)
def test_a_part_that_hangs_is_named(
    parts: Parts, leaning: Server, part: str, does: str, status: int, word: str
) -> None:
    until_ready(leaning)
    with parts[part].paused():
        named = (status, word, [f"{part} did not {does} within 2 s."])
        until_says(leaning, lambda said: said == named)
        assert leaning.healthy()
    until_ready(leaning)


def test_without_redis_it_works_on_and_says_so(parts: Parts, leaning: Server) -> None:
    until_ready(leaning)
    parts["Redis"].kill()
    status, _, problems = until_says(leaning, lambda said: said[1] == "degraded")
    assert (status, len(problems)) == (200, 1)
    assert problems[0].startswith("Redis d")
    assert str(parts["Redis"].port) not in problems[0]
    redis = parts["Redis"]
    redis.start(lambda: True)
    until_ready(leaning)
    said = leaning.log.read_text()
    assert said.count("The connection to Redis was lost") == 1
    assert "Traceback" not in said


def test_a_redis_url_that_does_not_work_is_a_line_in_the_log(tmp_path: Path) -> None:
    redis = f"redis://127.0.0.1:{free_port()}"
    with start_server("uvicorn", tmp_path, REDIS_URL=redis) as server:
        until_says(server, lambda said: said[:2] == (200, "degraded"))
        said = server.log.read_text()
    assert said.count("REDIS_URL does not work") == 1
    assert "Traceback" not in said


def test_parts_that_are_gone_are_named_without_their_addresses(
    parts: Parts, leaning: Server
) -> None:
    for part in parts.values():
        part.kill()
    status, _, problems = until_says(leaning, lambda said: said[1] == "unavailable")
    assert status == 503
    assert any(problem.startswith("The database d") for problem in problems), problems
    assert not any(str(part.port) in " ".join(problems) for part in parts.values())
    assert leaning.healthy()


@pytest.fixture
async def here(sqlite: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[nodes.Node]:
    """This process's node, as /readyz finds it."""
    monkeypatch.setattr(nodes, "_nodes", {})
    node = await nodes.current()
    yield node
    await node.stop()


async def asked(times: int) -> list[dict[str, object]]:
    request = RequestFactory().get("/readyz")
    answers = await asyncio.gather(*(health.readyz(request) for _ in range(times)))
    return [json.loads(answer.content) for answer in answers]


async def test_a_flood_of_probes_is_one_write(
    here: nodes.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Operation[Any]] = []
    submit = here.writer.submit
    monkeypatch.setattr(here.writer, "submit", lambda each: written.append(each) or submit(each))
    assert await asked(100) + await asked(100) == [{"status": "ok"}] * 200
    assert sum(isinstance(each, Probe) for each in written) == 1


async def test_the_log_has_a_cause_also_of_what_was_refused_with_others(
    here: nodes.Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(operation: object) -> None:
        raise DatabaseUnavailable("Try again.")

    monkeypatch.setattr(here.writer, "submit", refuse)
    monkeypatch.setattr(health, "_looking", None)
    monkeypatch.setattr(health, "_said", set())
    assert await asked(1) == [
        {"status": "unavailable", "problems": ["The database does not answer."]}
    ]
    assert "Not ready: The database does not answer. (Try again.)" in caplog.messages
    monkeypatch.undo()  # it stops through its writer


async def test_a_background_task_that_does_not_run_is_named(here: nodes.Node) -> None:
    here.background.note_failure("reaper")
    [answer] = await asked(1)
    assert answer["status"] == "degraded"
    assert str(answer["problems"]).startswith("['The reaper does not run; ")

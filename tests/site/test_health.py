"""/healthz says that the process is up, /readyz whether it can work (protocol.md section 1)."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import (
    Postgres,
    Program,
    Server,
    redis_url,
    start_postgres,
    start_redis,
    start_server,
)

Parts = dict[str, Program]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """What a server leans on, by the name that /readyz calls it."""
    redis, postgres = start_redis(tmp_path), start_postgres(tmp_path)
    with redis, postgres:
        yield {"database": postgres, "channel layer": redis}


@pytest.fixture
def leaning(parts: Parts, tmp_path: Path) -> Iterator[Server]:
    """A server on `parts`."""
    postgres = parts["database"]
    assert isinstance(postgres, Postgres)
    env = {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url(parts["channel layer"])}
    with start_server("uvicorn", tmp_path, **env) as server:
        yield server


def readiness(server: Server) -> tuple[int, list[str]]:
    response = httpx.get(f"{server.url}/readyz", timeout=10)
    return response.status_code, response.json().get("problems", [])


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


@pytest.mark.parametrize("part", ["database", "channel layer"])
def test_a_part_that_hangs_makes_it_unready_within_3_seconds(
    parts: Parts, leaning: Server, part: str
) -> None:
    assert readiness(leaning) == (200, [])
    with parts[part].paused():
        began = time.monotonic()
        assert readiness(leaning) == (503, [f"The {part} did not answer within 2 s."])
        assert time.monotonic() - began < 3
        assert leaning.healthy()
    assert readiness(leaning) == (200, [])


def test_parts_that_are_gone_are_named_without_their_addresses(
    parts: Parts, leaning: Server
) -> None:
    for part in parts.values():
        part.kill()
    status, problems = readiness(leaning)
    assert status == 503
    for part in parts:
        assert any(problem.startswith(f"The {part} d") for problem in problems), problems
    assert not any(str(part.port) in " ".join(problems) for part in parts.values())
    assert leaning.healthy()

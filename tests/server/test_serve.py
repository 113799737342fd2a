"""`manage.py serve` says in plain sentences why it does not start."""

import resource
import socket
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import uvicorn

from chat.server import run
from tests.support.servers import (
    Server,
    free_port,
    manage,
    production,
    server_environment,
    start_server,
)

BLOCK = 32 * 1024
ARENA = 64 * 2**20  # glibc's HEAP_MAX_SIZE
SERVICE = {"DEBUG": "false", "ALLOWED_HOSTS": "chat.example.org"}  # where no key is made


def refusal(directory: Path, *arguments: str, **env: str) -> str:
    """What serve says when it refuses to start; also asserts that it does, without a traceback."""
    outcome = manage(server_environment(directory, **env), "serve", *arguments)
    assert outcome.returncode == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    return outcome.stderr.removeprefix("CommandError: ").strip()


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is empty."),
        (
            {"SIGNING_KEY_1_METHOD": "", "SIGNING_KEY_1_ENCODED": "", **SERVICE},
            "SIGNING_KEY_1_METHOD and SIGNING_KEY_1_ENCODED are empty.",
        ),
        ({"SIGNING_KEY_1_ENCODED": "c2hvcnQ="}, "SIGNING_KEY_1_ENCODED "),
        ({"API_SECRET_KEY_1": "", "API_SECRET_KEY_2": "", **SERVICE}, "API_SECRET_KEY_1 is empty."),
        (
            {"SECRET_KEY": "x", **SERVICE},
            "SECRET_KEY has 1 characters: use at least 32, drawn at random.",
        ),
        ({"API_SECRET_KEY_1": "abc" * 20}, "API_SECRET_KEY_1 is easy to guess: "),
        ({"SIGNING_KEY_1_ENCODED": "YWFh" * 30}, "SIGNING_KEY_1_ENCODED is easy to guess: "),
        (
            {"CONNECTION_MAX_SECONDS": "soon"},
            "CONNECTION_MAX_SECONDS must be a whole number from 1 up.",
        ),
        (
            {"DEBUG": "false", "STATIC_ROOT": "/nowhere", "ALLOWED_HOSTS": "chat.example.org"},
            "Static files are not collected: run `manage.py collectstatic --no-input`.",
        ),
        (
            {"DEBUG": "false", "ALLOWED_HOSTS": ""},
            "ALLOWED_HOSTS must name the hosts that this server answers for.",
        ),
    ],
)
def test_a_setting_that_keeps_it_from_serving(
    tmp_path: Path, env: dict[str, str], sentence: str
) -> None:
    assert refusal(tmp_path, **env).startswith(sentence)


def test_several_problems_have_a_line_each(tmp_path: Path) -> None:
    said = refusal(tmp_path, SECRET_KEY="", KEEP_ALIVE_SECONDS="0")
    assert [line.split()[0] for line in said.splitlines()] == ["KEEP_ALIVE_SECONDS", "SECRET_KEY"]


@pytest.mark.parametrize("port", ["http", "65536", "-1", "80.5", "٣", ""])
def test_a_port_that_is_none(tmp_path: Path, port: str) -> None:
    said = refusal(tmp_path, f"--port={port}")
    assert said == f"The port must be a number from 0 to 65535, not {port!r}."


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(tmp_path, "--port", str(port))
    assert said.startswith(f"Cannot listen on 127.0.0.1, port {port}: another program listens")
    assert said.count("\n") == 0


def test_a_host_that_is_not_here(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--host", "192.0.2.1", "--port", str(free_port()))
    assert said.startswith("Cannot listen on 192.0.2.1, port ")


@pytest.mark.parametrize(
    ("env", "options", "sentence"),
    [
        ({"DEBUG": "true", "DEMO": "false"}, ["--allow-demo"], "DEBUG is on, "),
        ({"DEMO": "true"}, [], "The demo is switched on (DEMO): anybody can read and write every "),
        ({"DEMO": "true"}, ["--allow-demo"], "The database is not up to date: "),
        ({}, [], "The database is not up to date: "),
    ],
)
def test_what_is_not_for_other_machines(
    tmp_path: Path, env: dict[str, str], options: list[str], sentence: str
) -> None:
    env = {**production(), **env}
    where = ["--host", "0.0.0.0", "--port", str(free_port())]  # noqa: S104
    said = refusal(tmp_path, *where, *options, **env)
    assert said.startswith(sentence)
    assert said.count("\n") == 0


def test_a_database_that_is_not_migrated(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--port", str(free_port()))
    assert said == "The database is not up to date: run `manage.py migrate`."


@pytest.mark.parametrize("options", [[], ["--migrate"]])
def test_a_database_that_cannot_be_used(tmp_path: Path, options: list[str]) -> None:
    missing = tmp_path / "no-such-folder" / "db.sqlite3"
    env = {"DATABASE_URL": f"sqlite:///{missing}"}
    said = refusal(tmp_path, "--port", str(free_port()), *options, **env)
    assert said.startswith(f"The database cannot be used ({missing}): ")
    assert said.count("\n") == 0


def test_a_database_server_that_is_away(tmp_path: Path) -> None:
    away = f"postgres://chat:hunter2@127.0.0.1:{free_port()}/chat"
    said = refusal(tmp_path, "--port", str(free_port()), DATABASE_URL=away)
    assert said.startswith("The database cannot be used: ")
    assert "hunter2" not in said


def test_what_it_says_when_it_serves(tmp_path: Path) -> None:
    with start_server("uvicorn", tmp_path) as server:
        pass
    said = server.log.read_text()
    assert f"The chat page:  {server.url}/\n" in said
    assert f"The admin:      {server.url}/admin/\n" in said
    assert "anybody can read and write every channel whose name begins with `chat-`" in said
    assert "manage.py createsuperuser\n" in said


def test_it_says_nothing_of_a_page_where_there_is_none(tmp_path: Path) -> None:
    with start_server("uvicorn", tmp_path, DEMO="false", ADMIN="false") as server:
        for path in ("/", "/tokens", "/admin/", "/admin/login/"):
            assert httpx.get(server.url + path).status_code == 404
    said = server.log.read_text()
    assert "The chat page" not in said
    assert "The demo is" not in said
    assert "admin" not in said.partition("Ctrl-C")[0]


def test_it_may_open_as_many_files_as_it_is_allowed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        run.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(before[1], 1 << 20), before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_threads_share_one_malloc_arena(server: Server) -> None:
    assert httpx.get(f"{server.url}/readyz").is_success  # by way of the writer's thread
    assert arenas_of_threads(server.pid) == []


async def test_free_pages_of_the_heap_are_given_back() -> None:
    kept = [bytes(BLOCK) for _ in range(2_000)]  # none is mapped on its own
    del kept[::2]
    before = resident_bytes()
    await serving().on_tick(0)
    assert before - resident_bytes() > BLOCK * len(kept) / 2


def serving() -> run.Server:
    config = uvicorn.Config(lambda: None, log_config=None)
    config.load()
    return run.Server(config, lambda: None)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def arenas_of_threads(pid: int) -> list[str]:
    """Where glibc's begin: 64 MiB that begin at a multiple of as much, the first part in use."""
    found = []
    ranges = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    for (used, rights, *_), (unused, other_rights, *_) in pairwise(ranges):
        begin, _ = (int(end, 16) for end in used.split("-"))
        _, end = (int(end, 16) for end in unused.split("-"))
        if (
            begin % ARENA == 0
            and end - begin == ARENA
            and (rights, other_rights) == ("rw-p", "---p")
        ):
            found.append(used)
    return found

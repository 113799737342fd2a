"""`manage.py doctor` finds each fault that is seeded, and nothing else."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from chat.doctor import host, proxy
from chat.doctor.database import DIRECTORIES
from chat.doctor.findings import Finding, Observed, examine
from tests.support.configuring import Setter
from tests.support.servers import (
    ROOT,
    Postgres,
    Program,
    Server,
    directory_of,
    find_program,
    free_port,
    manage,
    migrate,
    no_root,
    production,
    redis_url,
    server_environment,
    start_redis,
    start_server,
)

Environment = dict[str, str]
ROOM = "pubsub 256mb 64mb 60"  # docs/deploy.md, "Redis"
SERVED = {
    "HTTPS": "true",
    "ALLOWED_ORIGINS": "https://www.example.org",
    "TOKEN_AUDIENCE": "chat",
}


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return production() | SERVED


@pytest.fixture
def site(collected: Environment, tmp_path: Path) -> Environment:
    """A healthy one, on SQLite."""
    return migrated(server_environment(tmp_path, **collected))


def migrated(env: Environment, **changes: str) -> Environment:
    env = env | changes
    url = env["DATABASE_URL"]
    migrate(url, Path(url.removeprefix("sqlite:///")).parent if "sqlite" in url else ROOT)
    return env


def examined(env: Environment, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the findings, however busy this machine is."""
    return _report(manage(env, "doctor", "--json", "--timeout=50", *options))


def _report(outcome: subprocess.CompletedProcess[str]) -> tuple[int, list[dict[str, Any]]]:
    assert outcome.stderr == "" or "Traceback" not in outcome.stderr
    findings = json.loads(outcome.stdout)["findings"]
    assert all(each["problem"] and each["why"] and each["do"] for each in findings)
    return outcome.returncode, findings


def ids(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["id"] for finding in findings}


# --- healthy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "redis"])
def test_a_healthy_site_has_no_finding(
    site: Environment, postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    with ExitStack() as stack:
        if kind != "sqlite":
            site = migrated(site, DATABASE_URL=postgres.database())
        if kind == "redis":
            options = "--client-output-buffer-limit", ROOM
            site["REDIS_URL"] = redis_url(
                stack.enter_context(start_redis(tmp_path, None, *options))
            )
        assert examined(site) == (0, [])
    versions = json.loads(manage(site, "doctor", "--json").stdout)["versions"]
    assert {"chat", "Python", "Django"} < {*versions}


def test_it_says_to_people_what_is_wrong_why_and_what_to_do(site: Environment) -> None:
    assert manage(site, "doctor").stdout.endswith("Nothing is wrong.\n")
    outcome = manage(site | {"DEMO": "true"}, "doctor")
    assert outcome.returncode == 2
    assert outcome.stdout.startswith("ERROR tokens.E005: The demo is switched on")
    assert "\n  Why: Strangers can write to your database" in outcome.stdout
    assert "\n  Do:  " in outcome.stdout
    assert outcome.stdout.endswith("\n\n1 error, 0 warnings.\n")


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("chat.E001", {"NODE_LEASE_SECONDS": "hunter2"}),
        ("chat.E001", {"DATABASE_URL": ""}),
        ("chat.E002", {"WEBHOOK_URL": "https://www.example.org/hook"}),
        ("chat.E003", {"ALLOWED_ORIGINS": "*"}),
        ("tokens.E001", {"API_SECRET_KEY_1": "hunter2"}),
        ("tokens.E002", {"SIGNING_KEY_1_METHOD": "", "SIGNING_KEY_1_ENCODED": ""}),
        ("tokens.E004", {"TOKEN_AUDIENCE": ""}),
        ("tokens.E005", {"DEMO": "true"}),
        ("chat.no-hosts", {"ALLOWED_HOSTS": ""}),
        ("security.W018", {"DEBUG": "true", "DEMO": "false"}),
        ("chat.W003", {"CONNECTIONS_PER_ADDRESS": "5", "FORWARDED_ALLOW_IPS": "*"}),
        ("chat.W004", {"MESSAGE_SEARCH": "true"}),
        ("static.not-collected", {"STATIC_ROOT": "/nowhere"}),
        ("database.not-migrated", {"DATABASE_URL": "sqlite://:memory:"}),
        ("broker.unusable", {"REDIS_URL": "redis://:hunter2@127.0.0.1:{}"}),
    ],
)
def test_a_fault_of_the_settings_is_found(site: Environment, id: str, changes: Environment) -> None:
    port = free_port()
    changes = {name: value.format(port) for name, value in changes.items()}
    code, findings = examined(site | changes)
    assert ids(findings) == {id}
    assert code == (1 if findings[0]["level"] == "warning" else 2)
    assert "hunter2" not in json.dumps(findings)


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_text("changed")])
def test_static_files_of_another_version_are_found(
    site: Environment, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    static = tmp_path / "changed"
    shutil.copytree(site["STATIC_ROOT"], static)
    change(static / "admin" / "css" / "base.css")
    code, findings = examined(site | {"STATIC_ROOT": str(static)})
    assert (code, ids(findings)) == (2, {"static.incomplete"})
    assert "admin/css/base.css the first" in findings[0]["problem"]


# --- the database -------------------------------------------------------------------------------

STALE = "UPDATE chat_message SET expires_at = '2020-01-01 00:00:00'"
INVALID = (
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'chat_connection_uid'::regclass"
)
SKEWED = (
    "CREATE SCHEMA skewed; CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz"
    " LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 minute' $$;"
    " ALTER DATABASE {} SET search_path = skewed, pg_catalog, public"
)
PROCESSES = (
    "INSERT INTO chat_node (id, host, pid, version, started_at, lease_until)"
    " SELECT 'n' || n, 'h', n, '', now(), now() + interval '1 hour' FROM generate_series(1, 20) n"
)


@pytest.mark.parametrize(
    ("id", "sql"),
    [("database.index-missing", "DROP INDEX chat_connection_uid"), ("chat.W001", STALE)],
)
def test_a_fault_of_sqlite_is_found(site: Environment, id: str, sql: str) -> None:
    assert manage(site, "publish", "news", "note").returncode == 0
    with closing(sqlite3.connect(site["DATABASE_URL"].removeprefix("sqlite:///"))) as rows, rows:
        rows.execute(sql)
    assert ids(examined(site)[1]) == {id}


@pytest.mark.parametrize(
    ("id", "sql"),
    [
        ("database.not-writable", "ALTER DATABASE {} SET default_transaction_read_only = on"),
        ("database.index-missing", "DROP INDEX chat_connection_uid"),
        ("database.index-invalid", INVALID),
        ("database.sessions", PROCESSES),
        ("clocks.differ", SKEWED),
    ],
)
def test_a_fault_of_postgresql_is_found(
    site: Environment, postgres: Postgres, id: str, sql: str
) -> None:
    site = migrated(site, DATABASE_URL=postgres.database())
    with psycopg.connect(site["DATABASE_URL"], autocommit=True) as rows:
        rows.execute(sql.format(site["DATABASE_URL"].rpartition("/")[2]).encode())
    assert ids(examined(site)[1]) == {id}


def test_a_database_that_is_away_or_stands_still_is_found(
    site: Environment, postgres: Postgres
) -> None:
    """Without Redis, announcements go through it, too."""
    away = f"postgres://postgres@127.0.0.1:{free_port()}/chat"
    lost = {"database.unusable", "broker.unusable"}
    assert ids(examined(site | {"DATABASE_URL": away})[1]) == lost
    site = migrated(site, DATABASE_URL=postgres.database())
    with psycopg.connect(site["DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE django_migrations")
        code, findings = examined(site, "--timeout=5")
    assert code == 2
    assert "database.hangs" in ids(findings)


def test_whoever_holds_a_table_or_a_row_is_named(site: Environment, postgres: Postgres) -> None:
    site = migrated(site, DATABASE_URL=postgres.database())
    assert manage(site, "publish", "news", "note").returncode == 0
    with psycopg.connect(site["DATABASE_URL"], application_name="a migration") as holder:
        pid = holder.info.backend_pid
        holder.execute("SELECT 1 FROM chat_channel FOR UPDATE")
        [row] = examined(site)[1]
        holder.execute("LOCK TABLE chat_channel")
        table, unwritable = examined(site)[1]
    assert unwritable["id"] == "database.not-writable"
    for found in (row, table):
        assert found["id"] == "database.locked"
        assert f"Session {pid} of PostgreSQL (postgres, a migration, idle" in found["problem"]
        assert found["problem"].endswith("locks on chat_channel.")


def test_the_disk_of_a_tablespace_is_looked_at(postgres: Postgres) -> None:
    directory, url = directory_of(no_root()), postgres.database()
    name = url.rpartition("/")[2]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as rows:
        rows.execute(f"CREATE TABLESPACE {name} LOCATION '{directory}'".encode())
        rows.execute(f"ALTER DATABASE {name} SET TABLESPACE {name}".encode())
        try:
            with psycopg.connect(url) as own:
                assert (str(directory),) in own.execute(DIRECTORIES.encode()).fetchall()
        finally:
            rows.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            rows.execute(f"DROP TABLESPACE {name}".encode())


# --- Redis, and this host -----------------------------------------------------------------------


def test_a_redis_that_is_hung_or_has_little_room_is_found(
    site: Environment, tmp_path: Path
) -> None:
    with start_redis(tmp_path) as redis:
        site["REDIS_URL"] = redis_url(redis)
        [found] = examined(site)[1]
        assert found["id"] == "broker.little-room"
        assert found["problem"].endswith("Times since it started: 0.")
        with redis.paused():
            assert ids(examined(site)[1]) == {"broker.unusable"}


def test_few_descriptors_are_found(site: Environment) -> None:
    command = f"ulimit -n 1000; exec {sys.executable} manage.py doctor --json --timeout=50"
    limited = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=site, capture_output=True, text=True, check=False
    )
    code, findings = _report(limited)
    assert (code, ids(findings)) == (1, {"host.descriptors"})


def test_a_kernel_with_little_room_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, set_chat: Setter
) -> None:
    set_chat(CONNECTIONS_MAX=1000)
    monkeypatch.setattr(host, "KERNEL", tmp_path)
    for name, value in {"core/somaxconn": "128", "ipv4/tcp_mem": "10\t20\t30"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"{value}\n")
    observed = [each for each in examine({"host": host.host}) if isinstance(each, Finding)]
    assert [each.id for each in observed] == ["host.backlog", "host.tcp-memory"]


def test_a_probe_that_hangs_or_fails_is_a_finding_after_what_it_found() -> None:
    def hanging() -> Iterator[Observed]:
        yield from failing()

    def failing() -> Iterator[Observed]:
        yield Finding("x.y", host.error("", "", "", "").level, "", "", "")
        raise RuntimeError("postgres://chat:hunter2@host/ is away")

    def standing() -> Iterator[Observed]:
        yield from ()
        threading.Event().wait()

    found = examine({"one": failing, "other": standing}, seconds=0.5)
    assert [each.id for each in found if isinstance(each, Finding)] == [
        "x.y",
        "one.failed",
        "other.hangs",
    ]
    assert "hunter2" not in repr(found)


# --- a proxy ------------------------------------------------------------------------------------

UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
SCHEME = "proxy_set_header X-Forwarded-Proto https;"
ADDRESS = "proxy_set_header X-Forwarded-For $remote_addr;"
STATED = "proxy_set_header X-Forwarded-For $http_x_forwarded_for;"
NO_ADDRESS = 'proxy_set_header X-Forwarded-For "";'
LINES = "large_client_header_buffers 4 128k;"
# What each finds that is asked through a proxy with these directives.
PROXIES = {
    LINES + UPGRADE + SCHEME + ADDRESS: set[str](),
    UPGRADE + SCHEME + ADDRESS: {"proxy.request-line"},
    LINES + SCHEME + ADDRESS: {"proxy.upgrade"},
    LINES + UPGRADE + SCHEME + STATED: {"proxy.address"},
    LINES + UPGRADE + SCHEME + NO_ADDRESS: {"proxy.address"},
    LINES + UPGRADE + SCHEME + ADDRESS + "proxy_read_timeout 1s;": {"proxy.cuts"},
}
AROUND = """
pid {directory}/nginx.pid;
error_log stderr crit;
events {{}}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log off;
    {servers}
}}
"""
BEFORE = """
    server {{
        listen 127.0.0.1:{port};
        {lines}
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_bind 127.0.0.2;
            proxy_http_version 1.1;
            {directives}
        }}
    }}
"""


@pytest.fixture(scope="module")
def proxied(collected: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The proxy has another address than clients, whose limits are on."""
    env = collected | {"FORWARDED_ALLOW_IPS": "127.0.0.2"}
    with start_server("uvicorn", tmp_path_factory.mktemp("proxied"), **env) as server:
        yield server


def nginx(directory: Path, server: Server, ports: dict[str, int]) -> Program:
    """Before a server, with these directives at these ports."""
    blocks = [
        BEFORE.format(
            port=port,
            behind=server.port,
            lines=LINES if LINES in directives else "",
            directives=directives.replace(LINES, ""),
        )
        for directives, port in ports.items()
    ]
    configuration = AROUND.format(directory=directory, servers="".join(blocks))
    (directory / "nginx.conf").write_text(configuration)
    user = no_root()
    if user:
        for path in (directory, directory / "nginx.conf"):
            shutil.chown(path, user)
    command = [find_program("nginx"), "-p", str(directory), "-c", "nginx.conf", "-g", "daemon off;"]
    return Program(command, next(iter(ports.values())), directory / "log", user=user)


def test_what_a_proxy_does_not_pass_on_is_found(proxied: Server) -> None:
    """All at once: each waits for longer than a ping of the server's takes to come."""
    ports = {directives: free_port() for directives in PROXIES}
    expected = {f"http://127.0.0.1:{ports[each]}": PROXIES[each] for each in PROXIES}
    expected[f"http://127.0.0.1:{free_port()}"] = {"proxy.away"}
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-nginx-") as directory,
        nginx(Path(directory), proxied, ports) as program,
        ThreadPoolExecutor(len(expected)) as threads,
    ):
        program.start(lambda: _listens(program.port))
        reports = threads.map(lambda url: examined(proxied.env, "--url", url), expected)
        found = {url: ids(findings) for url, (_, findings) in zip(expected, reports, strict=True)}
    assert found == expected


@pytest.mark.parametrize(("scheme", "found"), [("https", ["proxy.scheme"]), ("http", [])])
def test_a_page_that_leads_to_itself_is_found(scheme: str, found: list[str]) -> None:
    """From http to https it leads elsewhere."""
    asked = httpx.Request("GET", f"{scheme}://chat.example.org/")
    there = {"location": "https://chat.example.org/"}
    answer = httpx.Response(301, headers=there, request=asked)
    assert [finding.id for finding in proxy._redirected(answer)] == found


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True

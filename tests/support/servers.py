"""Real servers for the tests: ours on three ASGI servers, Redis and PostgreSQL.

Each has a port, a directory and keys of its own, so that tests run side by side. Nothing here
imports the project: a test sees the server as its clients do. `token` signs with PyJWT itself,
so that a mistake in our own issuer cannot hide one in our verifier.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import glob
import http.client
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import jwt
import psycopg

from tests.support import disclosure, forked
from tests.support.shared import once

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 20
STOP_SECONDS = 20
# Frames through ASGI instead of straight from the socket: THROUGH_ASGI=1 make test
WAY = ["--through-asgi"] if os.environ.get("THROUGH_ASGI") else []
ASGI_SERVERS = {
    "uvicorn": ["manage.py", "serve", *WAY, "--port", "{port}"],
    "workers": ["manage.py", "serve", *WAY, "--workers", "2", "--port", "{port}"],
    "public demo": ["manage.py", "serve", *WAY, "--allow-demo", "--port", "{port}"],
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "chatsite.asgi:application"],
    "runserver": ["manage.py", "runserver", "--noreload", "127.0.0.1:{port}"],
}


PACKAGES = {"initdb": "postgresql", "postgres": "postgresql", "promtool": "prometheus"}  # Debian's

# For a server that is killed and started again: its successor waits for its lease.
SHORT_LEASE = {"NODE_LEASE_SECONDS": "1"}


class StartError(Exception):
    """A server that did not come up; the message ends with its log."""


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_as(user: str | None) -> dict[str, Any]:
    """The arguments with which `subprocess` runs something as `user`; None: as ourselves."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def no_root() -> str | None:
    """Whom a program runs as that refuses to run as root; None: as ourselves."""
    return "nobody" if os.geteuid() == 0 else None


@dataclass
class Program:
    """A process of ours that is stopped at the latest when the tests end.

    `user` is whom it runs as, where that is not ourselves.
    """

    command: list[str]
    port: int
    log: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = ROOT
    user: str | None = None
    ending: ClassVar[signal.Signals] = signal.SIGTERM  # what it is sent when nobody needs it more
    _process: subprocess.Popen[bytes] | forked.Forked | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, answers: Callable[[], bool]) -> None:
        """Starts it and waits until `answers()`; StartError after 20 s or when it has ended."""
        with Path(os.devnull).open("rb") as nothing, self.log.open("ab") as log:
            self._process = self._begun(nothing, log)
        _started.add(self._process)
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if self._ended_within(0.03) or time.monotonic() > deadline:
                self.kill()
                raise StartError(f"{self.command} did not come up:\n{self.log.read_text()}")

    def _begun(self, nothing: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes] | forked.Forked:
        return subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env=self.env,
            stdin=nothing,
            stdout=log,
            stderr=log,
            **run_as(self.user),
        )

    def send_signal(self, signum: int) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Asks it to end and returns its exit code (negative: the signal that ended it)."""
        self.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended; subprocess.TimeoutExpired, and killed, after 20 s."""
        assert self._process is not None
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            _started.discard(self._process)

    def kill(self) -> None:
        """Ends it at once, with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        _started.discard(self._process)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It and its children stand still meanwhile, their sockets open: what a hang looks like."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        pids = [self.pid, *map(int, children.split())]
        try:
            _signal_all(pids, signal.SIGSTOP)
            yield
        finally:
            _signal_all(pids, signal.SIGCONT)

    def _ended_within(self, seconds: float) -> bool:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.stop(self.ending)


@dataclass
class Server(Program):
    """The chat server, as one of ASGI_SERVERS runs it; `command` is what follows `python`."""

    ending: ClassVar[signal.Signals] = signal.SIGKILL  # how it ends in order: tests/site
    kind: str = "uvicorn"

    def _begun(self, nothing: IO[bytes], log: IO[bytes]) -> forked.Forked:
        disclosure.watch(self.log, self.kind, self.env)
        standard = (nothing, log, log)
        return forked.start(self.command, cwd=self.cwd, env=self.env, standard=standard)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"

    def restart(self) -> None:
        """Starts it again on its port and its database; ends it first where it runs."""
        if self.running:
            self.stop()
        self.start(self.healthy)

    def healthy(self) -> bool:
        """Whether it answers at all (protocol.md section 1: GET /healthz)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def server_environment(directory: Path, **changes: str) -> dict[str, str]:
    """What a server needs: fresh keys and its own SQLite file, with `changes` on top.

    What a developer's `.env` may say is overruled: a variable that is set but empty counts as
    not set.
    """
    dotenv = ROOT / ".env"
    lines = dotenv.read_text().splitlines() if dotenv.exists() else []
    blank = {line.partition("=")[0]: "" for line in lines if "=" in line}
    return {
        **os.environ,
        **blank,
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
        "DEBUG": "true",
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "SIGNING_KEY_1_METHOD": "HS256",
        "SIGNING_KEY_1_ENCODED": base64.b64encode(secrets.token_bytes(64)).decode(),
        "API_SECRET_KEY_1": secrets.token_urlsafe(32),
        "API_SECRET_KEY_2": secrets.token_urlsafe(32),
        "METRICS_KEY": secrets.token_urlsafe(32),
        "DATABASE_URL": f"sqlite:///{directory / 'db.sqlite3'}",
        **changes,
    }


def production() -> dict[str, str]:
    """The settings of a server that serves others, its static files collected."""
    return {
        "DEBUG": "false",
        "HTTPS": "false",
        "ALLOWED_HOSTS": "127.0.0.1",
        "STATIC_ROOT": str(once("static", _collect)),
    }


def manage(
    env: dict[str, str], *arguments: str, given: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Runs manage.py as `env` says, with `given` to read; what it said is in `.stdout` and
    `.stderr`."""
    return forked.run(["manage.py", *arguments], cwd=ROOT, env=env, given=given)


def start_server(
    kind: str, directory: Path, *, port: int | None = None, code: Path = ROOT, **env: str
) -> Server:
    """A migrated server that answers; `env` adds to or overrules its environment. `code` is where
    its manage.py is.

    The caller stops it, or uses it in a `with` statement. StartError where it does not come up.
    """
    environment = server_environment(directory, **env)
    migrate(environment["DATABASE_URL"], directory)
    for attempt in range(3):
        chosen = port or free_port()
        command = [part.format(port=chosen) for part in ASGI_SERVERS[kind]]
        server = Server(
            command,
            chosen,
            directory / f"{kind}-{chosen}.log",
            environment,
            cwd=code,
            kind=kind,
        )
        try:
            server.start(server.healthy)
            return server
        except StartError as error:
            # Between our asking for a free port and the server's binding it, another took it.
            if port or attempt == 2 or "in use" not in str(error):
                raise
    raise AssertionError("unreachable")


def keys_of(server: Server) -> dict[str, str]:
    """What another server needs to be of one site with this one, beside database and Redis."""
    named = ("SECRET_KEY", "SIGNING_KEY_", "API_SECRET_")
    return {name: value for name, value in server.env.items() if name.startswith(named)}


def token(server: Server, **claims: Any) -> str:
    """A JWT signed with the server's first key; by default a connect token for five minutes.

    A claim given as None is left out.
    """
    payload = {"exp": time.time() + 300, "scope": "connect", **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    key = base64.b64decode(server.env["SIGNING_KEY_1_ENCODED"])
    key_id = server.env.get("SIGNING_KEY_1_ID")
    headers = {"kid": key_id} if key_id else None
    signed = jwt.encode(payload, key, server.env["SIGNING_KEY_1_METHOD"], headers=headers)
    disclosure.note(signed.rpartition(".")[2])
    return signed


def start_redis(directory: Path, port: int | None = None, *options: str) -> Program:
    """A Redis without persistence on a port of its own; `redis_url(program)` is its address."""
    chosen = port or free_port()
    redis = Program(
        [
            *[find_program("redis-server"), "--port", str(chosen), "--bind", "127.0.0.1"],
            *["--save", "", "--appendonly", "no", "--dir", str(directory), *options],
        ],
        chosen,
        directory / f"redis-{chosen}.log",
    )
    redis.start(functools.partial(_pongs, chosen))
    return redis


def redis_url(redis: Program) -> str:
    return f"redis://127.0.0.1:{redis.port}/0"


@dataclass
class Postgres(Program):
    """A PostgreSQL cluster of its own."""

    ending: ClassVar[signal.Signals] = signal.SIGQUIT  # waits for nobody

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"

    def ready(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def start_postgres(directory: Path, **more: object) -> Postgres:
    """A fresh PostgreSQL; its log is in `directory`, its rows are gone with the test session.

    PostgreSQL refuses to run as root, so that root runs it as `nobody`, in a directory of its
    own, since those that pytest makes are closed to others. Its default collation is a
    language's, where the system has one: an order by code point must be asked for. `more` are
    options of its configuration.
    """
    data, user = directory_of(no_root()), no_root()
    rows = data / "rows"
    log = directory / "postgres.log"
    with log.open("ab") as output:
        subprocess.run(
            [
                *[find_program("initdb"), "-D", str(rows), "-U", "postgres", "-A", "trust"],
                *["--encoding=UTF8", "--locale=C", "--no-sync"],
                *["--locale-provider=icu", "--icu-locale=en-US"],
            ],
            cwd=data,
            stdout=output,
            stderr=subprocess.STDOUT,
            **run_as(user),
            check=True,
        )
    port = free_port()
    options = {
        "unix_socket_directories": data,
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": 200,
        **more,
    }
    postgres = Postgres(
        [
            *[find_program("postgres"), "-D", str(rows), "-h", "127.0.0.1", "-p", str(port)],
            *[part for name, value in options.items() for part in ("-c", f"{name}={value}")],
        ],
        port,
        log,
        cwd=data,
        user=user,
    )
    postgres.start(postgres.ready)
    return postgres


def directory_of(user: str | None) -> Path:
    """A new directory that is `user`'s, and gone with the test session."""
    directory = Path(tempfile.mkdtemp(prefix="chatsite-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    if user:
        shutil.chown(directory, user)
    return directory


def _signal_all(pids: list[int], signum: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a child that has ended meanwhile
            os.kill(pid, signum)


_started: set[subprocess.Popen[bytes] | forked.Forked] = set()


@atexit.register
def _kill_what_still_runs() -> None:
    for process in _started:
        process.kill()


def find_program(name: str) -> str:
    """Its path; StartError where it is missing."""
    places = f"/usr/sbin/{name}", f"/usr/lib/postgresql/*/bin/{name}"
    found = [shutil.which(name), *(path for place in places for path in sorted(glob.glob(place)))]
    path = next((path for path in reversed(found) if path), None)
    if path is None:
        package = PACKAGES.get(name, name)
        raise StartError(f"{name} is missing: apt-get install {package}")
    return path


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def migrate(database_url: str, directory: Path) -> None:
    """Brings the database up to date; a new SQLite file is a copy of one that already is."""
    scheme, _, path = database_url.partition(":///")
    if scheme != "sqlite":
        _migrate_postgres(database_url, directory)
    elif not Path(path).exists():
        shutil.copyfile(once("migrated", _migrate_file) / "db.sqlite3", path)


@functools.cache
def _migrate_postgres(database_url: str, directory: Path) -> None:
    """A new database becomes a copy of one that was migrated before, in the same cluster."""
    cluster, _, name = database_url.rpartition("/")
    with psycopg.connect(database_url, autocommit=True) as database:
        found = database.execute("SELECT to_regclass('django_migrations')").fetchone()
    if found is not None and found[0] is not None:
        _migrate_database(database_url, directory)
        return
    template = _migrated_template(cluster, directory)
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as database:
        database.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
        database.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]


@functools.cache
def _migrated_template(cluster: str, directory: Path) -> str:
    name = f"migrated_{secrets.token_hex(4)}"
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    _migrate_database(f"{cluster}/{name}", directory)
    return name


def _collect(directory: Path) -> None:
    """Compressing static files takes as long as forty starts of a server."""
    env = server_environment(directory, DEBUG="false", STATIC_ROOT=str(directory))
    manage(env, "collectstatic", "--no-input").check_returncode()


def _migrate_file(directory: Path) -> None:
    _migrate_database(f"sqlite:///{directory / 'db.sqlite3'}", directory)


@functools.cache
def _migrate_database(database_url: str, directory: Path) -> None:
    outcome = manage(
        server_environment(directory, DATABASE_URL=database_url), "migrate", "--no-input"
    )
    if outcome.returncode:
        raise StartError(f"manage.py migrate failed:\n{outcome.stdout}{outcome.stderr}")

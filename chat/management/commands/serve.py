"""`manage.py serve`: runs the server with uvicorn, or says in a sentence why it cannot."""

import errno
import logging
import os
import socket
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.urls import NoReverseMatch, reverse

from chat import checks
from chat.cluster.leases import other_server_problems
from chat.conf import settings
from chat.runtime import metrics
from chat.server import run as server
from chat.server.workers import Supervisor, ready_callback
from chat.store import demo
from chat.store.reads import close_pool
from tokens.checks import DEMO_IS_OPEN, key_problems
from tokens.conf import settings as token_settings

log = logging.getLogger("chat.serve")

HINTS = {
    errno.EADDRINUSE: "another program listens there; choose another with --port (make run PORT=…)",
    errno.EACCES: "this user may not; ports from 1024 up are free to all",
}


LISTENING = "--listening"
THROUGH_ASGI = "--through-asgi"
ALLOW_DEMO = "--allow-demo"


class Command(BaseCommand):
    help = "Serves the chat with uvicorn."
    requires_system_checks = ()  # `handle` reports those that matter here in plain sentences

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        processes = "processes (default: 1); more need PostgreSQL"
        add("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
        add("--port", default="8000", help="port (default: 8000)")
        add("--migrate", action="store_true", help="migrate the database first")
        open_to_all = "serve the demo (DEMO) at an address that others can reach"
        add(ALLOW_DEMO, action="store_true", help=open_to_all)
        add("--workers", type=int, default=1, help=processes)
        # Sends frames through ASGI, as other servers do; for tests and measurements.
        add(THROUGH_ASGI, action="store_true", help=SUPPRESS)
        add("--as-worker", nargs=2, type=int, help=SUPPRESS)  # two descriptors
        add("--sharing", type=Path, help=SUPPRESS)  # a directory, in which workers have sockets
        add(LISTENING, type=int, help=SUPPRESS)  # a descriptor of the process before

    def handle(self, *args: object, workers: int, through_asgi: bool, **options: Any) -> None:
        server.limit_malloc()
        proxies, direct = settings.FORWARDED_ALLOW_IPS, not through_asgi
        demo.is_public = options["allow_demo"]
        if options["as_worker"]:  # the supervisor has checked everything
            shared, pair = (socket.socket(fileno=number) for number in options["as_worker"])
            metrics.shared = options["sharing"]
            server.run(shared, proxies, ready_callback(pair), direct=direct)
            return
        _refuse(
            checks.environment_problems()
            + key_problems()
            + checks.webhook_problems()
            + checks.deployment_problems()
            + checks.workers_problems(workers)
            + checks.url_problems()
        )
        _refuse(checks.application_problems())
        listening = _listen(options["host"], options["port"], options["listening"])
        at = listening.getsockname()[0]
        _refuse(checks.exposure_problems(at, allow_demo=options["allow_demo"]))
        problems = checks.database_problems()
        if options["migrate"] and problems == [checks.NOT_MIGRATED]:
            problems = _migrate()
        _refuse(problems or other_server_problems())
        if token_settings.DEMO:
            log.warning(DEMO_IS_OPEN)
        welcome = partial(self._welcome, listening)
        if workers == 1:
            if kept := server.run(listening, proxies, welcome, direct=direct):
                _start_again(kept)
        else:
            close_pool()
            with _sharing() as sharing:
                said = [*[THROUGH_ASGI] * through_asgi, *[ALLOW_DEMO] * options["allow_demo"]]
                command = partial(_worker_command, [*sharing, *said])
                sys.exit(Supervisor(listening, workers, command, welcome).run())

    def _welcome(self, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104
        python = sys.executable.removeprefix(f"{Path.cwd()}/")
        lines = {
            "The chat page:  {}": token_settings.DEMO and _path("demo"),
            "The admin:      {}": _path("admin:index"),
            f"An admin user:  {python} manage.py createsuperuser": _path("admin:index"),
        }
        for line, path in lines.items():
            if path:
                self.stdout.write(line.format(f"http://{host}:{port}{path}"))
        self.stdout.write("Ctrl-C ends the server.")
        self.stdout.flush()


def _path(name: str) -> str:
    """Where the project has this view, or ""."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


@contextmanager
def _sharing() -> Iterator[list[str]]:
    """The option that names a directory in which workers share their metrics, where somebody may
    ask for them."""
    if not settings.METRICS_KEY:
        yield []
        return
    try:
        directory = TemporaryDirectory(prefix="chat-", ignore_cleanup_errors=True)
    except OSError as error:
        problem = "METRICS_KEY and --workers need a directory for temporary files, TMPDIR"
        raise CommandError(f"{problem}: {error.strerror}.") from None
    with directory as name:
        yield ["--sharing", name]


def _worker_command(options: list[str], listening: int, pair: int) -> list[str]:
    as_worker = ["--as-worker", str(listening), str(pair)]
    return [sys.executable, sys.argv[0], "serve", *options, *as_worker]


def _start_again(listening: socket.socket) -> NoReturn:
    """As this command was started, with whatever code is there now."""
    arguments = sys.argv[:-2] if LISTENING in sys.argv[-2:] else sys.argv
    listening.set_inheritable(True)
    again = [*arguments, LISTENING, str(listening.fileno())]
    os.execv(sys.executable, [sys.executable, *again])  # noqa: S606


def _refuse(problems: list[str]) -> None:
    if problems:
        raise CommandError("\n".join(problems))


def _listen(host: str, port: str, descriptor: int | None) -> socket.socket:
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise CommandError(f"The port must be a number from 0 to 65535, not {port!r}.")
    try:
        return server.listen(host, int(port))
    except OSError as error:
        reason = HINTS.get(error.errno or 0, error.strerror)
        raise CommandError(f"Cannot listen on {host}, port {port}: {reason}.") from None


def _migrate() -> list[str]:
    try:
        for alias in dict.fromkeys([DEFAULT_DB_ALIAS, settings.DATABASE]):
            call_command("migrate", interactive=False, verbosity=0, database=alias)
    except DatabaseError as error:
        return [f"The database cannot be migrated: {error}."]
    return []

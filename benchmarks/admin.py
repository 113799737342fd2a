"""`python -m benchmarks --admin [ROWS]`: what the admin's pages take beside a million messages.

Each page is asked for through the whole of Django (session, rights, templates), as a user who may
only look, so that every right is looked up. Exports come from a real server. Minutes, so `make
bench` leaves it out.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.filled import Postgresql, Sqlite
from tests.support.servers import ROOT, server_environment, start_server

ROWS: Final = 1_000_000
RUNS: Final = 9
SPAN: Final = timedelta(days=3)  # over which the messages are spread
PASSWORD: Final = "only-for-this-benchmark"  # noqa: S105

# A third in one channel, most of it by one person, a few of a second event: what is hard is many
# of one kind among which those sought are rare.
SHAPE: Final = """
UPDATE chat_message SET
    channel_id = CASE WHEN substr(id, 26, 1) < 'A' THEN 1 ELSE channel_id END,
    uid = CASE WHEN substr(id, 25, 1) < 'E' THEN 'jim' ELSE uid END,
    event = CASE WHEN substr(id, 24, 1) = '0' THEN 'notice' ELSE event END
"""
REACTIONS: Final = """
UPDATE chat_reaction SET channel_id = 1 WHERE substr(message_id, 26, 1) < 'A'
"""
LISTS: Final[dict[str, str]] = {
    "messages": "message/",
    "… of a channel with a third of all": "message/?channel=c1",
    "… of a small channel": "message/?channel=c777",
    "… of an event": "message/?event=notice",
    "… of a person": "message/?uid=jim",
    "… that live": "message/?state=live",
    "… that have expired": "message/?state=expired",
    "… of a channel and a person": "message/?channel=c1&uid=jim",
    "… of a channel and a rare person": "message/?channel=c1&uid=user-7",
    "… of a channel, expired": "message/?channel=c1&state=expired",
    "… of a person, expired": "message/?uid=jim&state=expired",
    "… of an event, expired": "message/?event=notice&state=expired",
    "… by all of these": "message/?channel=c1&uid=jim&event=notice&state=live",
    "… found by a search": "message/?q=jim",
    "channels": "channel/",
    "… by the beginning of a name": "channel/?q=c7",
    "connections (20,000)": "connection/",
    "reactions": "reaction/",
    "… of a channel": "reaction/?channel=c1",
    "subscriptions": "subscription/",
    "nodes": "node/",
    "the live page": "live/",
}


def main(rows: int = ROWS) -> None:
    print(f"beside {rows:,} messages; least, median and greatest of {RUNS}, in ms")
    with tempfile.TemporaryDirectory(prefix="chatsite-admin-") as directory:
        for kind in (Sqlite, Postgresql):
            database = kind(Path(directory))
            try:
                database.fill(rows // 2)
                print(f"--- {kind.__name__}", flush=True)
                _run(server_environment(Path(directory), DATABASE_URL=database.copy()))
            finally:
                database.stop()


def _run(environment: dict[str, str]) -> None:
    """Measures in a process of its own, since Django is set up for one database."""
    subprocess.run(
        [sys.executable, "-m", "benchmarks.admin"], cwd=ROOT, env=environment, check=True
    )
    for suffix in ("jsonl", "csv"):
        print(_exported(environment, suffix), flush=True)


# --- pages --------------------------------------------------------------------------------------


def _measure() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    settings.DEBUG = False
    _prepare()
    client = Client()
    assert client.login(username="viewer", password=PASSWORD)  # noqa: S101
    for what, address in [*LISTS.items(), *_pages()]:
        client.get(address := f"/admin/chat/{address}")
        taken = [_timed(client, address) for _ in range(RUNS)]
        with CaptureQueriesContext(connection) as captured:
            client.get(address)
        figures = "".join(f"{figure:>8.1f}" for figure in (min(taken), median(taken), max(taken)))
        line = f"{what:<42}{figures}{len(captured):>6} queries"
        print(line, flush=True)
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined]


def _timed(client: Any, address: str) -> float:
    started = time.perf_counter()
    assert client.get(address).status_code == 200, address  # noqa: S101
    return (time.perf_counter() - started) * 1e3


def _prepare() -> None:
    from django.contrib.auth.models import Permission, User
    from django.db import connection

    viewer = User.objects.create_user("viewer", password=PASSWORD, is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    _connect()
    with connection.cursor() as cursor:
        cursor.execute(SHAPE)
        cursor.execute(REACTIONS)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


def _connect(connections: int = 20_000) -> None:
    """So many are open, a third of them subscribed to one channel."""
    from django.utils import timezone

    from chat.models import Connection, Node, Subscription

    now = timezone.now()
    until = now + timedelta(hours=2)
    node = Node.objects.create(
        id="0" * 26, host="web-1", pid=1, version="0", started_at=now, lease_until=until
    )
    claims = '{"exp":2000000000,"scope":"connect","channels":{"c*":{"subscribe":true}}}'
    Connection.objects.bulk_create(
        (
            Connection(
                id=f"connection-{number}",
                node=node,
                secret_hash="",
                claims=claims,
                uid="jim",
                connected_at=now - timedelta(seconds=number),
                expires_at=until,
            )
            for number in range(connections)
        ),
        batch_size=2000,
    )
    Subscription.objects.bulk_create(
        (
            Subscription(
                connection_id=f"connection-{number}",
                channel_id=number % 1000 + 1 if number % 3 else 1,
                subscribed_at=now,
            )
            for number in range(connections)
        ),
        batch_size=2000,
    )


def _pages() -> Iterator[tuple[str, str]]:
    from chat.models import Message

    id = Message.objects.order_by("id").values_list("id", flat=True)[1000]
    yield "a page of messages in the middle", f"message/?older={id}"
    yield "a message", f"message/{id}/change/"
    yield "a channel", "channel/1/change/"
    yield "a connection", "connection/connection-7/change/"


# --- exports ------------------------------------------------------------------------------------


def _exported(environment: dict[str, str], suffix: str) -> str:
    """The first tenth of all messages, from a server that has done nothing else."""
    import httpx

    url = environment["DATABASE_URL"]
    with tempfile.TemporaryDirectory() as directory:
        server = start_server("uvicorn", Path(directory), DATABASE_URL=url)
        with server, httpx.Client(base_url=server.url, timeout=600) as client:
            _log_in(client)
            before, started = _memory(server.pid), time.perf_counter()
            asked = urlencode({"until": f"{datetime.now(UTC) - 0.9 * SPAN:%Y-%m-%dT%H:%M}"})
            with client.stream("GET", f"/admin/chat/message/export.{suffix}?{asked}") as answer:
                lines = sum(chunk.count(b"\n") for chunk in answer.iter_bytes())
            seconds, after = time.perf_counter() - started, _memory(server.pid)
    return (
        f"export as {suffix}: {lines:,} lines in {seconds:.1f} s;"
        f" the server's memory at most {after:.0f} MB, {before:.0f} before"
    )


def _log_in(client: Any) -> None:
    page = client.get("/admin/login/").text
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found  # noqa: S101
    form = {"username": "viewer", "password": PASSWORD, "csrfmiddlewaretoken": found[1]}
    assert client.post("/admin/login/?next=/healthz", data=form).status_code == 302  # noqa: S101


def _memory(pid: int) -> float:
    """The most that a process has had, in MB (10**6 bytes)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    _measure()

"""`python -m benchmarks --admin [ROWS]`: what the admin's pages take beside a million messages.

Whole requests, until the last byte is here: of a moderator, whose every right is looked up, over
one connection to a real server; and the processor time that server and database take for one, which
is the steadier figure where the machine has other work. Minutes, so `make bench` leaves it out.
Ends with 1 where the median of a page is over LIMIT.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import httpx

from benchmarks import cpu
from benchmarks.filled import CHANNELS, PEOPLE, Postgresql, Sqlite
from tests.support.servers import ROOT, production, server_environment, start_server

if TYPE_CHECKING:
    from django.db.models import Model

ROWS: Final = 1_000_000
FEWER: Final = 20_000  # of all that is no message, reaction or channel
RUNS: Final = 30
LIMIT: Final = 60  # ms
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
PAGES: Final = (
    ("messages", "message/"),
    ("… in the middle of the table", "message/?older={middle}"),
    ("… of a channel with a third of all", "message/?channel=c1"),
    ("… of a small channel", "message/?channel=c777"),
    ("… of an event", "message/?event=notice"),
    ("… of a person", "message/?uid=jim"),
    ("… that live", "message/?state=live"),
    ("… that have expired", "message/?state=expired"),
    ("… of a channel and a person", "message/?channel=c1&uid=jim"),
    ("… of a channel and a rare person", "message/?channel=c1&uid=user-7"),
    ("… of a channel, expired", "message/?channel=c1&state=expired"),
    ("… of a person, expired", "message/?uid=jim&state=expired"),
    ("… of an event, expired", "message/?event=notice&state=expired"),
    ("… by all of these", "message/?channel=c1&uid=jim&event=notice&state=live"),
    ("… found by a search", "message/?q=jim"),
    ("a message", "message/{middle}/change/"),
    ("channels", "channel/"),
    ("… by the beginning of a name", "channel/?q=c7"),
    ("a channel", "channel/1/change/"),
    ("connections", "connection/"),
    ("… of a person", "connection/?q=user-7"),
    ("a connection", "connection/connection-7/change/"),
    ("the live page", "live/"),
    ("subscriptions", "subscription/"),
    ("… of a channel", "subscription/?channel=c1"),
    ("nodes", "node/"),
    ("reactions", "reaction/"),
    ("… of a channel", "reaction/?channel=c1"),
    ("storage entries", "storageentry/"),
    ("… of a channel", "storageentry/?channel=c1"),
    ("… by the beginning of a name", "storageentry/?q=c7"),
    ("members", "member/"),
    ("… of a channel", "member/?channel=c1"),
    ("schedules", "schedule/"),
    ("… of a channel", "schedule/?channel=c1"),
    ("outbox entries", "outboxentry/"),
    ("… of a channel", "outboxentry/?channel=c1"),
    ("backend events", "backendevent/"),
    ("… of a channel", "backendevent/?stream=c1"),
    ("restrictions", "restriction/"),
    ("… of a person", "restriction/?uid=user-7"),
    ("audit entries", "auditentry/"),
    ("… of a person", "auditentry/?uid=user-7"),
)


def main(rows: int = ROWS) -> None:
    print(f"beside {rows:,} messages; of {RUNS} requests median and 95th percentile, in ms;")
    print("processor time of each, in ms")
    slow = 0
    with tempfile.TemporaryDirectory(prefix="chatsite-admin-") as directory:
        for kind in (Sqlite, Postgresql):
            database = kind(Path(directory))
            try:
                database.fill(rows // 2)
                print(f"--- {kind.__name__}", flush=True)
                slow += _measure(Path(directory), database)
            finally:
                database.stop()
    if slow:
        sys.exit(f"{slow} pages take more than {LIMIT} ms.")


def _measure(directory: Path, database: Sqlite | Postgresql) -> int:
    """How many pages were too slow."""
    url = database.copy()
    middle = _step("prepare", server_environment(directory, DATABASE_URL=url))
    settings = production() | {"DATABASE_URL": url}
    with start_server("uvicorn", directory, **settings) as server, _client(server.url) as client:
        _step("connect", server.env)
        medians = [
            _timed(
                client,
                what,
                f"/admin/chat/{address.format(middle=middle)}",
                [server.pid, *database.pids],
            )
            for what, address in PAGES
        ]
        server.stop()  # in order, so that the next one need not wait for its lease
    for suffix in ("jsonl", "csv"):
        print(_exported(directory, settings, suffix), flush=True)
    return sum(each > LIMIT for each in medians)


@contextlib.contextmanager
def _client(url: str) -> Iterator[httpx.Client]:
    """Logged in."""
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:
        page = client.get("/admin/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found  # noqa: S101
        form = {"username": "moderator", "password": PASSWORD, "csrfmiddlewaretoken": found[1]}
        answer = client.post("/admin/login/?next=/healthz", data=form)
        assert answer.status_code == 302  # noqa: S101
        yield client


# --- pages --------------------------------------------------------------------------------------


def _timed(client: httpx.Client, what: str, address: str, pids: Sequence[int]) -> float:
    """The median, in ms."""
    _ask(client, address)
    before = cpu.with_ended(pids)
    taken = [_ask(client, address) for _ in range(RUNS)]
    used = (cpu.with_ended(pids) - before) * 1e3 / RUNS
    figures = (median(taken), quantiles(taken, n=20)[-1], used)
    shown = "".join(f"{figure:>8.1f}" for figure in figures)
    print(f"{what:<42}{shown}{'  MISSED' * (figures[0] > LIMIT)}", flush=True)
    return figures[0]


def _ask(client: httpx.Client, address: str) -> float:
    started = time.perf_counter()
    assert client.get(address).status_code == 200, address  # noqa: S101
    return (time.perf_counter() - started) * 1e3


# --- exports ------------------------------------------------------------------------------------


def _exported(directory: Path, settings: dict[str, str], suffix: str) -> str:
    """The first tenth of all messages, from a server that has done nothing else."""
    with start_server("uvicorn", directory, **settings) as server, _client(server.url) as client:
        before, started = _memory(server.pid), time.perf_counter()
        asked = urlencode({"until": f"{datetime.now(UTC) - 0.9 * SPAN:%Y-%m-%dT%H:%M}"})
        with client.stream("GET", f"/admin/chat/message/export.{suffix}?{asked}") as answer:
            lines = sum(chunk.count(b"\n") for chunk in answer.iter_bytes())
        seconds, after = time.perf_counter() - started, _memory(server.pid)
        server.stop()
    return (
        f"export as {suffix}: {lines:,} lines in {seconds:.1f} s;"
        f" the server's memory at most {after:.0f} MB, {before:.0f} before"
    )


def _memory(pid: int) -> float:
    """The most that a process has had, in MB (10**6 bytes)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) * 1024 / 1e6


# --- rows ---------------------------------------------------------------------------------------


def _step(name: str, environment: dict[str, str]) -> str:
    """What it prints. In a process of its own, since Django is set up for one database."""
    command = [sys.executable, "-m", "benchmarks.admin", name]
    return subprocess.check_output(command, cwd=ROOT, env=environment, text=True).strip()  # noqa: S603


def _prepare() -> None:
    """Prints the id of a message in the middle."""
    from django.contrib.auth.models import Permission, User
    from django.db import connection

    from chat.models import Message

    moderator = User.objects.create_user("moderator", password=PASSWORD, is_staff=True)
    moderator.user_permissions.set(Permission.objects.filter(content_type__app_label="chat"))
    for rows in _others():
        _insert(rows)
    with connection.cursor() as cursor:
        cursor.execute(SHAPE)
        cursor.execute(REACTIONS)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
    print(Message.objects.order_by("id").values_list("id", flat=True)[1000])


def _insert(rows: "Sequence[Model]") -> None:
    type(rows[0])._default_manager.bulk_create(rows, batch_size=2000)


def _others() -> "Iterator[list[Model]]":
    """FEWER of each; what is to be done is due tomorrow, or parked, so that nobody does it."""
    from django.utils import timezone

    from chat import models
    from chat.protocol import ids
    from chat.store.operations.messages import PublishMessage
    from chat.store.operations.work import encode

    now = timezone.now()
    until, text = now + timedelta(days=1), '"a message of an ordinary length, as people write them"'
    work = encode(PublishMessage("c1", "chat", text.encode(), "jim", "null", b"null", 3600))
    numbers = _numbers()
    yield [
        models.StorageEntry(channel_id=channel, key=f"key-{n}", number=n, data=text, uid=uid)
        for n, channel, uid in numbers
    ]
    yield [
        models.Member(channel_id=channel, uid=f"user-{n}", joined=n, number=n, changed_at=now)
        for n, channel, _ in numbers
    ]
    yield [
        models.Schedule(
            id=ids.new_id(n),
            channel_id=channel,
            uid=uid,
            due_at=until + timedelta(seconds=n),
            work=work,
            created_at=now,
        )
        for n, channel, uid in numbers
    ]
    yield [
        models.OutboxEntry(channel=f"c{channel}", work=work, created_at=now, parked_at=now)
        for _, channel, _ in numbers
    ]
    yield [
        models.BackendEvent(
            webhook_id=f"event-{n}",
            stream=f"c{channel}",
            type="hotsock.messagePublished",
            body="{}",
            created_at=now,
        )
        for n, channel, _ in numbers
    ]
    yield [
        models.Restriction(number=n, uid=uid, created_at=now, reason="They shout.")
        for n, _, uid in numbers
    ]
    yield [
        models.AuditEntry(at=now, actor="admin root", action="ban", uid=uid, channel=f"c{channel}")
        for _, channel, uid in numbers
    ]


def _numbers() -> list[tuple[int, int, str]]:
    """Of FEWER rows; for each the id of a channel, and a uid."""
    return [(n, n % CHANNELS + 1, f"user-{n % PEOPLE}") for n in range(FEWER)]


def _connect() -> None:
    """To the server that runs; a third of the connections subscribe to one channel."""
    from django.db import connection
    from django.utils import timezone

    from chat.models import Connection, Node, Subscription

    now, node = timezone.now(), Node.objects.get()
    claims = '{"exp":2000000000,"scope":"connect","channels":{"c*":{"subscribe":true}}}'
    connections = [
        Connection(
            id=f"connection-{n}",
            node=node,
            secret_hash="",
            claims=claims,
            uid=uid,
            connected_at=now - timedelta(seconds=n),
            expires_at=now + timedelta(hours=2),
        )
        for n, _, uid in _numbers()
    ]
    subscriptions = [
        Subscription(
            connection=connections[n], channel_id=channel if n % 3 else 1, subscribed_at=now
        )
        for n, channel, _ in _numbers()
    ]
    for rows in (connections, subscriptions):
        _insert(rows)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE chat_connection, chat_subscription")


if __name__ == "__main__":
    import django

    django.setup()
    {"prepare": _prepare, "connect": _connect}[sys.argv[1]]()
    if os.environ["DATABASE_URL"].startswith("postgres"):
        from django.db import connection

        connection.close_pool()  # type: ignore[attr-defined]

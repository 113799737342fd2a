"""`python -m benchmarks --search [ROWS]`: building the index of texts, and a page of what is found
among a million messages (docs/moderation.md)."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.databases import start_durable
from tests.support.servers import ROOT, manage, server_environment

ROWS: Final = 1_000_000
RUNS: Final = 9
# Words in every second, tenth, thousandth and hundred thousandth message, among a dozen others.
SAID: Final = (
    "'\"a message of an ordinary length, as people write them half' || (n % 2)"
    " || ' tenth' || (n % 10) || ' thousandth' || (n % 1000) || ' rare' || (n % 100000) || '\"'"
)
CHANNELS: Final = (
    "INSERT INTO chat_channel (id, name, number, last_message_id, changed_at)"
    " SELECT n, 'c' || n, 0, '', CURRENT_TIMESTAMP FROM {} WHERE n <= 1000"
)
MESSAGES: Final = (
    "INSERT INTO chat_message (id, channel_id, number, event, data, uid, umd, by_server)"  # noqa: S608
    f" SELECT {{}}, 1 + n % 1000, n, 'chat', {SAID}, 'user-' || (n % 5000), 'null', FALSE FROM {{}}"
)
SERIES: Final = {
    "sqlite": "(WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
    " WHERE n < {}) SELECT n FROM numbers)",
    "postgresql": "generate_series(1, {}) AS n",
}
ID: Final = {"sqlite": "printf('01J%023d', n)", "postgresql": "'01J' || lpad(n::text, 23, '0')"}
ASKED: Final[dict[str, dict[str, str]]] = {
    "a word in every message": {"text": "ordinary"},
    "… in half of them": {"text": "half1"},
    "… in a tenth": {"text": "tenth3"},
    "… in a thousandth": {"text": "thousandth7"},
    "… in ten": {"text": "rare77"},
    "… in none": {"text": "nowhere"},
    "two words, a hundredth of a thousandth": {"text": "thousandth7 half0 tenth7"},
    "a common word of a person": {"text": "ordinary", "uid": "user-7"},
    "… of a channel": {"text": "half1", "channel": "c7"},
}


def main(rows: int = ROWS) -> None:
    print(f"among {rows:,} messages; least, median and greatest of {RUNS}, in ms")
    with tempfile.TemporaryDirectory(prefix="chatsite-search-") as directory:
        _measure_in(Path(directory), f"sqlite:///{directory}/db.sqlite3", rows)
        postgres = start_durable(Path(directory))
        try:
            _measure_in(Path(directory), postgres.url("postgres"), rows)
        finally:
            postgres.stop()


def _measure_in(directory: Path, url: str, rows: int) -> None:
    print(f"--- {url.partition(':')[0]}", flush=True)
    environment = server_environment(directory, DATABASE_URL=url) | {"MESSAGE_SEARCH": "true"}
    manage(environment, "migrate", "--no-input").check_returncode()
    for step in ("fill", "index", "ask"):
        command = [sys.executable, "-m", "benchmarks.search", step, str(rows)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)  # noqa: S603


def _fill(rows: int) -> None:
    from django.db import connection

    series = SERIES[connection.vendor].format(rows)
    with connection.cursor() as cursor:
        cursor.execute(CHANNELS.format(series))
        cursor.execute(MESSAGES.format(ID[connection.vendor], series))


def _index(rows: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    started = time.perf_counter()
    call_command("index_messages")
    print(f"built in {time.perf_counter() - started:.0f} s", flush=True)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _ask(rows: int) -> None:
    for what, asked in ASKED.items():
        _page(asked)
        taken = [_page(asked) for _ in range(RUNS)]
        figures = "".join(f"{figure:>8.1f}" for figure in (min(taken), median(taken), max(taken)))
        print(f"{what:<42}{figures}", flush=True)


def _page(asked: dict[str, str]) -> float:
    from django.contrib.admin import site

    from chat.admin.messages import MessageAdmin, MessageFilters
    from chat.admin.paging import Cursor, read_page
    from chat.models import Message

    rows = MessageAdmin(Message, site).columns_of(Message.objects.select_related("channel"))
    started = time.perf_counter()
    read_page(MessageFilters(asked).scans(rows), Cursor(), 100)
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    import django

    django.setup()
    {"fill": _fill, "index": _index, "ask": _ask}[sys.argv[1]](int(sys.argv[2]))

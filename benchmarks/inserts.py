"""`python -m benchmarks.inserts WAY CHANNELS SECONDS`: what storing messages takes without us.

`orm`: a transaction of Django's each, as most projects do it. `plain` and `large`: the driver's own
batches of BATCH and LARGE_BATCH rows, with nothing but the inserts: what the database can do.
Prints a run as JSON. On the database of DATABASE_URL; of PIDS, its processes, CPU time counts too.
"""

import itertools
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks import cpu

BATCH: Final = 64
LARGE_BATCH: Final = 500
THREADS: Final = {"sqlite": 1, "postgresql": 16}  # SQLite has one writer: others would only wait
DATA: Final = '"a message of an ordinary length, as people write them"'
COLUMNS: Final = "id, channel_id, number, event, data, uid, umd, by_server, expires_at"

Work = Callable[[], int]
"""Stores some messages and says how many."""


def main(way: str, channels: int, seconds: float) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from chat.models import Channel

    call_command("migrate", verbosity=0)
    for number in range(channels):
        Channel.objects.get_or_create(name=f"c{number}", defaults={"changed_at": timezone.now()})
    ids = list(Channel.objects.values_list("id", flat=True))
    rows = _rows(ids)
    if way == "orm":
        figures = _measure([_orm(rows)] * THREADS[connection.vendor], seconds)
    else:
        plain = {"sqlite": _sqlite, "postgresql": _postgresql}[connection.vendor]
        figures = _measure([plain(rows, LARGE_BATCH if way == "large" else BATCH)], seconds)
    print(json.dumps(figures))
    os._exit(0)  # the pools of the threads wait for nobody


def _rows(channels: list[int]) -> Iterator[tuple[Any, ...]]:
    from django.utils import timezone
    from ulid import ULID

    first = int(ULID())
    until = timezone.now() + timezone.timedelta(days=1)  # type: ignore[attr-defined]
    for number, channel in zip(itertools.count(1), itertools.cycle(channels), strict=False):
        id = str(ULID.from_int(first + (number << 40)))
        yield id, channel, number, "chat", DATA, "jim", "null", False, until


def _orm(rows: Iterator[tuple[Any, ...]]) -> Work:
    from django.db import transaction

    from chat.models import Message

    names = COLUMNS.split(", ")

    def work() -> int:
        with taking:
            row = next(rows)
        with transaction.atomic():
            Message.objects.create(**dict(zip(names, row, strict=True)))
        return 1

    taking = threading.Lock()
    return work


def _sqlite(rows: Iterator[tuple[Any, ...]], size: int) -> Work:
    from django.db import connection

    connection.ensure_connection()
    own: sqlite3.Connection = connection.connection
    sql = f"INSERT INTO chat_message ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608

    def work() -> int:
        batch = [(*row[:-1], str(row[-1])) for row in itertools.islice(rows, size)]
        own.execute("BEGIN IMMEDIATE")
        own.executemany(sql, batch)
        own.execute("COMMIT")
        return size

    return work


def _postgresql(rows: Iterator[tuple[Any, ...]], size: int) -> Work:
    from django.db import connection

    connection.ensure_connection()
    own: Any = connection.connection
    kinds = ("text", "bigint", "bigint", *["text"] * 4, "bool", "timestamptz")
    marks = ", ".join(f"%s::{kind}[]" for kind in kinds)
    sql = f"INSERT INTO chat_message ({COLUMNS}) SELECT * FROM unnest({marks})"  # noqa: S608

    def work() -> int:
        batch = list(zip(*itertools.islice(rows, size), strict=True))
        own.execute(sql, [list(column) for column in batch])
        own.commit()
        return size

    return work


def _measure(workers: list[Work], seconds: float) -> dict[str, float]:
    pids = [int(pid) for pid in os.environ.get("PIDS", "").split()]
    for work in workers[:1]:
        work()
    counts = [0] * len(workers)
    began, before, own = time.perf_counter(), cpu.used(pids), time.process_time()
    end = began + seconds

    def run(number: int) -> None:
        while time.perf_counter() < end:
            counts[number] += workers[number]()

    if len(workers) == 1:
        run(0)
    else:
        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    took = time.perf_counter() - began
    used = cpu.used(pids) - before + time.process_time() - own
    rate = sum(counts) / took
    return {"rate": rate, "server_us": used / sum(counts) * 1e6, "server_busy": used / took}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

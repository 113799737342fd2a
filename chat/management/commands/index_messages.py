"""`manage.py index_messages`: the index by which moderators search messages by text."""

import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from tqdm import tqdm

from chat import checks
from chat.models import Message
from chat.purge import MAX_BATCH, Database, Pace
from chat.store import search
from chat.store.databases import connection

LAST: Final = "~"  # above all ids
POLL_SECONDS: Final = 0.5
PROGRESS: Final = "SELECT tuples_done, tuples_total FROM pg_stat_progress_create_index"

Show = Callable[[int], object]


class Command(BaseCommand):
    help = (
        "Builds the index by which moderators search messages by text, where MESSAGE_SEARCH is on,"
        " beside the running server; from then on the database keeps it. Broken off, it goes on or"
        " begins anew when it is run again."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--drop", action="store_true", help="remove the index")

    def handle(self, *args: object, drop: bool, **options: object) -> None:
        if problems := checks.database_problems():
            raise CommandError("\n".join(problems))
        act = _drop if drop else BUILD[connection.vendor]
        try:
            act()
        except DatabaseError as error:
            raise CommandError(f"The index is not complete: {error}") from error
        self.stdout.write("The index is removed." if drop else "The index is built.")


def _drop() -> None:
    postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        for sql in (search.DROP_POSTGRESQL,) if postgresql else search.DROP_SQLITE:
            cursor.execute(sql)


def _build_postgresql() -> None:
    if search.is_built():
        return
    _drop()  # one that was broken off
    done = threading.Event()
    watching = threading.Thread(target=_watch, args=[done], daemon=True)
    watching.start()
    try:
        with connection.cursor() as cursor:
            cursor.execute(search.BUILD_POSTGRESQL)
    finally:
        done.set()
        watching.join()


def _watch(done: threading.Event) -> None:
    """Shows on a terminal how far PostgreSQL is."""
    if not sys.stderr.isatty():
        return
    with Database() as database, tqdm(unit=" rows", leave=False) as bar:
        while not done.wait(POLL_SECONDS):
            for rows, total in database.select(PROGRESS):
                bar.total = total
                bar.update(rows - bar.n)


def _build_sqlite() -> None:
    """What is stored from now on, triggers add; then what was there, the latest first."""
    with Database() as database:
        with database.transaction():
            for sql in search.CREATE_SQLITE:
                database.execute(sql)
        with tqdm(unit=" rows", leave=False, disable=not sys.stderr.isatty()) as bar:
            bar.total = Message.objects.count()
            _index_stored(database, bar.update)
        database.shrink_log()


def _index_stored(database: Database, show: Show) -> None:
    pace, last = Pace(MAX_BATCH), LAST
    while ids := [id for (id,) in database.select(search.UNINDEXED, last, pace.rows)]:
        with database.transaction():
            for id in ids:
                if database.execute(search.NUMBER, id):  # else it is gone, or another run was here
                    database.execute(search.INDEX_ONE, id)
        show(len(ids))
        last = ids[-1]
        time.sleep(pace.pause(database))


BUILD: Final = {"postgresql": _build_postgresql, "sqlite": _build_sqlite}

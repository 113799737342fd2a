"""`manage.py purge_expired`: deletes what has expired, from cron, beside the running server."""

import json
import math
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from chat import checks, purge
from chat.purge import PurgeError, Report, Stop

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
WHY: Final = {"max_seconds": "Out of time", "SIGINT": "Interrupted", "SIGTERM": "Told to stop"}


class Command(BaseCommand):
    help = (
        "Removes expired messages with their reactions, expired storage entries, used tokens,"
        " deduplicationIds and channels that are empty."
    )
    requires_system_checks = ()  # `handle` reports those that matter here in plain sentences

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--dry-run", action="store_true", help="count, and change nothing")
        add(
            "--batch-size",
            default=purge.MAX_BATCH,
            metavar="N",
            help="rows of a kind in one transaction at most (default: %(default)s;"
            " fewer where they would take long)",
        )
        add("--max-seconds", metavar="S", help="stop after S seconds, done or not (default: never)")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: object, dry_run: bool, **options: Any) -> None:
        batch_size = _positive("--batch-size", int, options["batch_size"])
        seconds = options["max_seconds"]
        stop = Stop(math.inf if seconds is None else _positive("--max-seconds", float, seconds))
        with _stopped_by_signals(stop):
            if problems := checks.environment_problems() or checks.database_problems():
                raise CommandError("\n".join(problems))
            try:
                report = purge.count_due(stop=stop) if dry_run else _purge(batch_size, stop)
            except PurgeError as error:
                raise CommandError(_failure(error)) from error
        render = _as_json if options["json"] else _as_sentence
        self.stdout.write(render(report, dry_run))


NUMBERS: Final = {int: "a whole number from 1 up", float: "a number of seconds above 0"}


def _positive[N: (int, float)](option: str, number: type[N], text: str) -> N:
    try:
        value = number(text)
    except ValueError:
        value = number(0)
    if not 0 < value < math.inf:
        raise CommandError(f"{option} must be {NUMBERS[number]}, not {text!r}.")
    return value


@contextmanager
def _stopped_by_signals(stop: Stop) -> Iterator[None]:
    """SIGINT or SIGTERM ends the purge between two transactions; the same signal again, at once."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    signals = SIGNALS if in_main_thread else ()  # no other thread may handle signals
    previous = {number: signal.getsignal(number) for number in signals}

    def request_stop(number: int, frame: object) -> None:
        signal.signal(number, previous[signal.Signals(number)])
        stop.request(signal.Signals(number).name)

    for number in signals:
        signal.signal(number, request_stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _purge(batch_size: int, stop: Stop) -> Report:
    """Shows a progress bar on a terminal. What no index counts is not in it."""
    if not sys.stderr.isatty():
        return purge.purge(batch_size=batch_size, stop=stop)
    due = purge.count_due(stop=stop, indexed_only=True).left
    with tqdm(total=sum(due.values()), unit=" rows", leave=False) as bar:
        return purge.purge(
            batch_size=batch_size,
            stop=stop,
            on_progress=lambda kind, removed: bar.update(removed) if kind in due else None,
        )


def _failure(error: PurgeError) -> str:
    reason = " ".join(str(error.__cause__).split()).rstrip(".")
    removed = sum(error.report.removed.values())
    return (
        f"The database cannot be used: {reason}; {removed:,} rows were removed before, and another"
        " run goes on from there."
    )


def _as_json(report: Report, dry_run: bool) -> str:
    seconds = round(report.seconds, 3)
    return json.dumps({"dry_run": dry_run, **asdict(report), "seconds": seconds})


def _as_sentence(report: Report, dry_run: bool) -> str:
    if dry_run:
        return f"Due, and untouched: {_counts(report.left)}."
    waiting = {kind: count for kind, count in report.left.items() if count}
    left = f" Still due: {_counts(waiting)}." if waiting else ""
    why = f"{WHY[report.stopped]}; removed" if report.stopped else "Removed"
    return f"{why} in {report.seconds:.1f} s: {_counts(report.removed)}.{left}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items())

"""`manage.py purge_expired`: removes what has expired, from cron, without anyone noticing."""

import json
import math
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from chat import checks, purge
from chat.management.progress import ProgressBar, label
from chat.purge import Brake, PurgeError, Report

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
WHY: Final = {"max_seconds": "Out of time", "SIGINT": "Interrupted", "SIGTERM": "Told to stop"}


class Command(BaseCommand):
    help = (
        "Removes expired messages with their reactions, expired storage entries, used tokens,"
        " deduplicationIds and channels that are empty."
    )
    requires_system_checks = ()  # those that matter here are said in plain sentences below

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")
        parser.add_argument(
            "--batch-size",
            default=str(purge.MAX_BATCH),
            metavar="N",
            help="rows of a kind in one transaction at most (default: %(default)s;"
            " fewer where they would take long)",
        )
        parser.add_argument(
            "--max-seconds", metavar="S", help="stop after S seconds, done or not (default: never)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: object, **options: Any) -> None:
        batch_size = _batch_size(options["batch_size"])
        brake = Brake(_seconds(options["max_seconds"]))
        with _signals_pull(brake):
            if problems := checks.environment_problems() or checks.database_problems():
                raise CommandError("\n".join(problems))
            try:
                report = self._purge(batch_size, brake, options["dry_run"])
            except PurgeError as error:
                raise CommandError(_failure(error)) from error
        render = _as_json if options["json"] else _as_sentence
        self.stdout.write(render(report, options["dry_run"]))

    def _purge(self, batch_size: int, brake: Brake, dry_run: bool) -> Report:
        if dry_run:
            return purge.count_due(brake=brake)
        if not sys.stderr.isatty():
            return purge.purge(batch_size=batch_size, brake=brake)
        bar = ProgressBar(sys.stderr, purge.count_due(brake=brake, indexed_only=True).left)
        try:
            return purge.purge(batch_size=batch_size, brake=brake, on_progress=bar.show)
        finally:
            bar.clear()


def _batch_size(text: str) -> int:
    if not (str(text).isascii() and str(text).isdecimal() and int(text) > 0):
        raise CommandError(f"--batch-size must be a whole number from 1 up, not {text!r}.")
    return int(text)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise CommandError(f"--max-seconds must be a number of seconds above 0, not {text!r}.")
    return seconds


@contextmanager
def _signals_pull(brake: Brake) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the purge between two transactions, the next at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def pull(number: int, frame: FrameType | None) -> None:
        restore()
        brake.pull(signal.Signals(number).name)

    for number in SIGNALS:
        signal.signal(number, pull)
    try:
        yield
    finally:
        restore()


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
    removed = f"in {report.seconds:.1f} s: {_counts(report.removed)}"
    waiting = {kind: count for kind, count in report.left.items() if count}
    left = f" Still due: {_counts(waiting)}." if waiting else ""
    why = f"{WHY[report.stopped]}; removed" if report.stopped else "Removed"
    return f"{why} {removed}.{left}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {label(kind)}" for kind, count in counts.items())

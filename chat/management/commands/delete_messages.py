"""`manage.py delete_messages`: all of somebody, of a channel or both, beside the running server."""

import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = (
        "Deletes all messages of a uid, of a channel or of both, with their reactions; who"
        " subscribes sees them go. Works in short transactions beside the servers. Broken off, it"
        " goes on where it was when it is run again."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--uid", help="whose")
        add("--channel", help="in which channel")
        add("--since", type=_time, metavar="TIME", help="from then on, such as 2026-07-24T14:30")
        add("--until", type=_time, metavar="TIME", help="before then; without a zone in UTC")
        add("--dry-run", action="store_true", help="count, and change nothing")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: object, dry_run: bool, **options: Any) -> None:
        asked = {name: options[name] for name in ("uid", "channel", "since", "until")}
        hidden = not sys.stderr.isatty()
        with refused(), tqdm(unit=" messages", leave=False, disable=hidden) as bar:
            count = api.delete_messages(
                **asked, dry_run=dry_run, actor=COMMAND, on_progress=_shown_on(bar)
            )
        said = f"{count:,} to delete, untouched." if dry_run else f"Deleted {count:,}."
        told = {"dry_run": dry_run, "messages": count}
        self.stdout.write(json.dumps(told) if options["json"] else said)


def _shown_on(bar: "tqdm[Any]") -> Any:
    def show(deleted: int, of: int) -> None:
        bar.total = of
        bar.update(deleted - bar.n)

    return show


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)

"""`manage.py erase_user`: all that is stored of a person, beside the running server."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = (
        "Erases all that is stored of a person: messages, reactions, storage entries, memberships,"
        " connections, schedules, what waits for servers or the webhook, and traces in logs of the"
        " admin. Others see it go. Revoke the person's tokens first; what others wrote stays."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("uid", help="whose")
        add("--dry-run", action="store_true", help="count, and change nothing")
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: object, uid: str, dry_run: bool, **options: Any) -> None:
        with refused():
            erased = api.erase_user(
                uid, dry_run=dry_run, actor=COMMAND, on_progress=_progress(sys.stderr.isatty())
            )
        if options["json"]:
            told = {"dry_run": dry_run, "rows": erased.rows, "left": erased.left}
            self.stdout.write(json.dumps(told))
        else:
            self.stdout.write("To erase, untouched:" if dry_run else "Erased:")
            self.stdout.write(_table(erased.rows))
        if erased.left:
            raise CommandError(f"{LEFT}\n{_table(erased.left)}")


LEFT = "Some is left: the person is still connected or has come back. Revoke, and erase again."


def _table(rows: Mapping[str, int]) -> str:
    return "\n".join(f"{count:>12,}  {name.replace('_', ' ')}" for name, count in rows.items())


def _progress(shown: bool) -> Any:
    def show(doing: str) -> None:
        if shown:
            sys.stderr.write(f"\r\x1b[K{doing} …")

    return show

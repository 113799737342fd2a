"""`manage.py publish`: publishes from a shell or a script, with or without a running server."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from chat import api
from chat.management.acts import refused

OPTIONS = ("key", "store", "at", "timezone", "deduplication_id")


class Command(BaseCommand):
    help = (
        "Publishes a message, and prints its id or, with --at, the name of its schedule."
        " It is stored, by default for ever; with --store 0, which SQLite refuses, it reaches who"
        " listens at that moment."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("channel")
        add("event", help="name of the event, or hotsock.channelStorageSet with --key")
        add("data", nargs="?", default="null", help="JSON or a string; - reads standard input")
        add("--store", type=int, default=-1, metavar="SECONDS", help="-1: for ever (default)")
        add("--key", help="of the storage entry to set")
        add("--at", metavar="EXPRESSION", help="at(2026-07-24T14:30:00)")
        add("--timezone", metavar="ZONE", help="of --at (default: UTC)")
        add("--deduplication-id", metavar="ID", help="at most once in 300 s")
        add("--json", action="store_true", help="print the whole answer as JSON")

    def handle(self, *args: object, channel: str, event: str, data: str, **options: Any) -> None:
        given = {name: options[name] for name in OPTIONS if options[name] is not None}
        with refused():
            receipt = api.publish_json(channel, event, _as_json(data), **given)
        answer = msgspec.json.encode(receipt).decode() if options["json"] else None
        self.stdout.write(answer or receipt.id or receipt.schedule_arn or "")


def _as_json(argument: str) -> str:
    try:
        text = sys.stdin.buffer.read().decode() if argument == "-" else argument
    except UnicodeDecodeError as error:
        raise CommandError(f"Standard input is not UTF-8: {error}.") from None
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:
        return text  # JSON, but too deep: publishing refuses it
    except (msgspec.MsgspecError, UnicodeError):
        return json.dumps(text.removesuffix("\n"), ensure_ascii=False)
    return text

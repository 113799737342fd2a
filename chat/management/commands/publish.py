"""`manage.py publish`: publishes from a shell or a script, beside a running server or without."""

import json
import logging
import sys
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from chat import api, checks
from chat.store.reads import close_pool


class Command(BaseCommand):
    help = (
        "Publishes a message, and prints its id or, with --at, the name of its schedule."
        " It is stored, for ever unless --store says for how long: so does a server learn of it"
        " that runs beside."
    )
    requires_system_checks = ()  # what keeps it from publishing is said in a sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")
        parser.add_argument(
            "event", help="name of the event, or hotsock.channelStorageSet with --key"
        )
        parser.add_argument(
            "data",
            nargs="?",
            default="null",
            help="JSON; what is not JSON is taken for a string; - reads it from standard input",
        )
        parser.add_argument(
            "--store", type=int, default=-1, metavar="SECONDS", help="-1: for ever (default)"
        )
        parser.add_argument("--key", help="of the storage entry that is set")
        parser.add_argument("--at", metavar="EXPRESSION", help="at(2026-07-24T14:30:00)")
        parser.add_argument("--timezone", metavar="ZONE", help="of --at (default: UTC)")
        parser.add_argument("--deduplication-id", metavar="ID", help="at most once in 300 s")
        parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")

    def handle(self, *args: object, channel: str, event: str, data: str, **options: Any) -> None:
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # said below, in a sentence
        names = ("store", "at", "timezone", "deduplication_id", "key")
        stated = {name: options[name] for name in names if options[name] is not None}
        try:
            receipt = api.publish_json(channel, event, _data(data), **stated)
        except api.ProtocolError as error:
            raise CommandError(_sentences(error)) from None
        finally:
            close_pool()
        if options["json"]:
            self.stdout.write(msgspec.json.encode(receipt).decode())
        else:
            self.stdout.write(receipt.id or receipt.schedule_arn or "")


def _data(argument: str) -> str:
    """As JSON text."""
    text = _standard_input() if argument == "-" else argument
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:
        return text  # it is JSON, and too deep: that is said where everything is checked
    except (msgspec.MsgspecError, UnicodeError):
        return json.dumps(text.removesuffix("\n"), ensure_ascii=False)
    return text


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise CommandError(f"Standard input is not UTF-8: {error}.") from None


def _sentences(error: api.ProtocolError) -> str:
    away = error.code is api.ErrorCode.SERVICE_UNAVAILABLE
    return "\n".join((away and checks.database_problems()) or [error.message])

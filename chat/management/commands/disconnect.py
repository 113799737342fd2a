"""`manage.py disconnect`: closes connections, which may come back."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = (
        "Closes the connections of which all that is given holds, and prints how many that are."
        " They may come back: revoke their tokens or ban their uid where they may not."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--connection", metavar="ID", dest="connection_id")
        add("--uid", help="of the connection, or of a subscription of it")
        add("--channel", help="to which it subscribes; with --uid, under that uid")

    def handle(self, *args: object, **options: Any) -> None:
        given = {name: options[name] for name in ("connection_id", "uid", "channel")}
        if not any(given.values()):
            raise CommandError("Give --connection, --uid or --channel.")
        with refused():
            count = api.disconnect(**given, actor=COMMAND)
        self.stdout.write(f"Connections that are closed: {count}")

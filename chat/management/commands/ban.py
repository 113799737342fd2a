"""`manage.py ban`: who is let in no more, or may not write in a channel."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = (
        "Bans a uid, an IP address or a network, and prints the ban's id. Open connections are"
        " closed. With --channel, the uid only may not subscribe to that channel nor write in it."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument("--uid")
        whom.add_argument("--address", help="such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48")
        add = parser.add_argument
        add("--channel", help="goes with --uid")
        add("--until", type=float, metavar="T", help="unix seconds (default: until it is lifted)")
        add("--reason", help="for the records; clients never see it")

    def handle(self, *args: object, **options: Any) -> None:
        names = "uid", "address", "channel", "until", "reason"
        given = {name: options[name] for name in names}
        with refused():
            id = api.ban(**given, actor=COMMAND)
        self.stdout.write(f"{id}")

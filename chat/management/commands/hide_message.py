"""`manage.py hide_message`: takes a message out of everybody's sight, or shows it again."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = (
        "Hides a message: only moderators see it in the admin any more, and who subscribes sees it"
        " go. With --show it is back at its old place in history."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("channel")
        add("id", help="of the message")
        add("--show", action="store_true", help="show a hidden one again")

    def handle(self, *args: object, channel: str, id: str, show: bool, **options: object) -> None:
        act = api.show_message if show else api.hide_message
        with refused():
            act(channel, id, COMMAND)

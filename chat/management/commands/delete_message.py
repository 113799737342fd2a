"""`manage.py delete_message`: one, beside the running server."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = "Deletes a message with its reactions; who subscribes sees it go."
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("channel")
        add("id", help="of the message")

    def handle(self, *args: object, channel: str, id: str, **options: object) -> None:
        with refused():
            api.delete_message(channel, id, COMMAND)

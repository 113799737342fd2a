"""`manage.py unban`: lifts a ban."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = "Lifts the ban with this id, which `ban` printed and the admin lists."
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: object, id: int, **options: object) -> None:
        with refused():
            lifted = api.unban(id, actor=COMMAND)
        if not lifted:
            raise CommandError(f"There is no ban {id} in force.")
        self.stdout.write(f"Lifted ban {id}.")

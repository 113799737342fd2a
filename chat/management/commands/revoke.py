"""`manage.py revoke`: tokens that are good no more, whoever holds them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from chat import api
from chat.management.acts import COMMAND, refused


class Command(BaseCommand):
    help = (
        "Revokes the token with this jti, or those of a uid that were issued before a moment, and"
        " closes what was opened with one. Prints how many connections that are."
    )
    requires_system_checks = ()  # a problem is reported in one sentence

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--jti", help="of the token")
        which.add_argument("--uid", help="whose tokens")
        add = parser.add_argument
        add("--issued-before", type=float, metavar="T", help="unix seconds, with --uid (now)")
        add("--expires-at", type=float, metavar="T", help="until when to remember, in unix seconds")

    def handle(self, *args: object, **options: Any) -> None:
        names = "jti", "uid", "issued_before", "expires_at"
        given = {name: options[name] for name in names}
        with refused():
            count = api.revoke_tokens(**given, actor=COMMAND)
        self.stdout.write(f"Revoked. Connections that are closed for it: {count}")

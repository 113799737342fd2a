"""`manage.py issue_token '{"scope": "connect", "uid": "jim"}'`: print a signed token."""

import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tokens import strict_json
from tokens.api import issue
from tokens.claims import TokenError


class Command(BaseCommand):
    help = "Print a token with the given claims, signed with key 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("claims", help="the claims, as a JSON object")
        parser.add_argument(
            "--lifetime", type=int, default=300, help="seconds until it expires (default 300)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            claims = strict_json.loads(os.fsencode(options["claims"]))
            if not isinstance(claims, dict):
                raise CommandError("The claims must be a JSON object.")
            self.stdout.write(issue(claims, lifetime=options["lifetime"]))
        except strict_json.JsonError as error:
            raise CommandError(f"The text {error}.") from None
        except (TokenError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None

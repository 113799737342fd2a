"""What the commands that act on the chat share: who acts, and how a refusal ends them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.core.management.base import CommandError

from chat import api, checks

COMMAND: Final = api.Actor("command")


@contextmanager
def refused() -> Iterator[None]:
    """A refusal ends the command, in one sentence: what is wrong with the database, where that is
    it."""
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # the sentence reports it
    try:
        yield
    except api.ProtocolError as error:
        away = error.code is api.ErrorCode.SERVICE_UNAVAILABLE
        reasons = (away and checks.database_problems()) or [error.message]
        raise CommandError("\n".join(reasons)) from None

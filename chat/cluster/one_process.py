"""Whether another process serves from the same database, which without Redis would break promises:
clients of the one would not hear those of the other in time."""

import socket
import time
from datetime import datetime
from typing import Final

from django.db import connection
from django.db.models.functions import Now

from chat.cluster.peers import ended_on
from chat.conf import settings
from chat.models import Node

LOOK_SECONDS: Final = 0.1

Leases = dict[str, tuple[str, datetime]]
"""Node -> its name, `host:pid`, and until when its lease lasts."""


def alone_problems() -> list[str]:
    """Empty, or a sentence that names the other process.

    That it lives is proved by its renewing its lease: a row that a crash left behind says nothing.
    So this waits where there is one, until it is renewed or has run out.
    """
    if settings.REDIS_URL:
        return []
    try:
        return _until_known()
    finally:
        connection.close()


def _until_known() -> list[str]:
    before = _leases()
    while before:
        time.sleep(LOOK_SECONDS)
        now = _leases()
        for id, (name, until) in now.items():
            if id in before and until > before[id][1]:
                return [
                    f"{name} serves from this database already, and without REDIS_URL the two would"
                    " not hear each other: stop it, or set REDIS_URL for both."
                ]
        before = {id: lease for id, lease in now.items() if id in before}
    return []


def _leases() -> Leases:
    rows = Node.objects.filter(lease_until__gt=Now()).exclude(id__in=ended_on(socket.gethostname()))
    return {row.id: (str(row), row.lease_until) for row in rows}

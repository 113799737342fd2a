"""What a process reads of the others, and of what they decided about its connections."""

import os

from django.db.models.functions import Now

from chat.models import Connection, Node


def revoked(node_id: str) -> list[str]:
    """The ids of a node's connections that somebody closed, in whatever process that was."""
    rows = Connection.objects.filter(node_id=node_id, revoked=True)
    return list(rows.values_list("id", flat=True))


def alive_beside(dead: tuple[str, ...]) -> list[str]:
    """Processes whose lease lasts, but for those known to be dead, as `host:pid`."""
    return [str(row) for row in Node.objects.filter(lease_until__gt=Now()).exclude(id__in=dead)]


def ended_on(host: str) -> tuple[str, ...]:
    """Nodes of this machine whose process is gone: no need to wait for their lease."""
    rows = Node.objects.filter(host=host).values_list("id", "pid")
    return tuple(id for id, pid in rows if pid == os.getpid() or not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

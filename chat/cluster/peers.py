"""What a process reads of the others, and of what they decided about its connections."""

import os
from collections import defaultdict

from django.db import connection as database
from django.db.models.functions import Now

from chat.models import Connection, Node, Subscription
from tokens.names import PRESENCE_PREFIX, is_presence

# PostgreSQL forgets `idle_in_transaction_session_timeout` where a Flush follows its last answer, as
# psycopg sends it with `executemany`; and amid a pipeline it takes nobody for idle.
END_BLOCKERS = """
    SELECT pg_terminate_backend(holder.pid)
    FROM pg_stat_activity waiting, unnest(pg_blocking_pids(waiting.pid)) AS blocking
    JOIN pg_stat_activity holder ON holder.pid = blocking
    WHERE waiting.datname = current_database() AND waiting.wait_event_type = 'Lock'
    AND holder.usename = current_user AND holder.wait_event = 'ClientRead'
    AND holder.application_name = current_setting('application_name')
    AND holder.state_change < clock_timestamp() - make_interval(secs => %s)
"""


def revoked(node_id: str) -> list[str]:
    """The ids of a node's connections that somebody closed, in whatever process that was."""
    rows = Connection.objects.filter(node_id=node_id, revoked=True)
    return list(rows.values_list("id", flat=True))


def stale(node_id: str) -> list[str]:
    """The ids of a node's connections whose metadata another process has changed without it."""
    rows = Connection.objects.filter(node_id=node_id, stale=True)
    return list(rows.values_list("id", flat=True))


def metadata_of(connection_id: str) -> tuple[str, list[tuple[str, str]]]:
    """A connection's own, as JSON text, and that of its subscriptions, with their channels."""
    own = Connection.objects.filter(id=connection_id).values_list("umd", flat=True).first()
    rows = Subscription.objects.filter(connection_id=connection_id)
    return own or "null", list(rows.values_list("channel__name", "umd"))


def alive_beside(dead: tuple[str, ...]) -> list[str]:
    """Processes whose lease lasts, but for those known to be dead, as `host:pid`."""
    return [str(row) for row in Node.objects.filter(lease_until__gt=Now()).exclude(id__in=dead)]


def seconds_left(own: str) -> float | None:
    """Until the first of the others' leases runs out, where there is one; not above 0: it has."""
    rows = Node.objects.exclude(id=own).annotate(now=Now()).order_by("lease_until")
    first = rows.values_list("lease_until", "now").first()
    return None if first is None else (first[0] - first[1]).total_seconds()


def end_blockers(seconds: float) -> int:
    """Ends sessions of servers that keep others waiting for a lock while their client has said
    nothing for so long: of a process that was stopped within a transaction. Tells how many.

    On PostgreSQL alone."""
    with database.cursor() as cursor:
        cursor.execute(END_BLOCKERS, [seconds])
        return len(cursor.fetchall())


def all_of(node_id: str) -> dict[str, tuple[str, ...]]:
    """A node's connections, and the channels they are in."""
    own = Connection.objects.filter(node_id=node_id).values_list("id", flat=True)
    found: dict[str, list[str]] = {id: [] for id in own}
    rows = Subscription.objects.filter(connection__node_id=node_id)
    for connection, channel in rows.values_list("connection_id", "channel__name"):
        found.setdefault(connection, []).append(channel)
    return {connection: tuple(channels) for connection, channels in found.items()}


def members_of(node_id: str) -> dict[str, tuple[str, ...]]:
    """A node's connections that are in presence channels, and these."""
    rows = Subscription.objects.filter(
        connection__node_id=node_id, channel__name__startswith=PRESENCE_PREFIX
    )
    found = defaultdict(list)
    for connection, channel in rows.values_list("connection_id", "channel__name"):
        if is_presence(channel):  # SQLite's LIKE takes capitals, too
            found[connection].append(channel)
    return {connection: tuple(channels) for connection, channels in found.items()}


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

"""What a person, a `uid`, holds in the database, of each kind that has a quota: what clients did,
not what the server's API did in its name."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Case, Count, Func, Max, Q, Sum, When
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler

from chat.conf import settings
from chat.models import Acknowledgement, Connection, Message, Schedule, StorageEntry
from chat.store.operations.acknowledgement import sender_of

ROWS: Final = 10_000  # messages that one query reads
MOST_QUERIES: Final = 100  # for a page
ROW_BYTES: Final = 100  # of a row, beside its data and its sender's metadata


class Quota(IntEnum):
    """Each has the setting QUOTA_ and its name."""

    CONNECTIONS = 0
    STORED_BYTES = 1
    STORAGE_KEYS = 2
    SCHEDULES = 3
    ACKS = 4

    @property
    def limit(self) -> int:
        """0: none."""
        return int(getattr(settings, f"QUOTA_{self.name}"))

    @property
    def plain(self) -> str:
        return self.name.lower().replace("_", " ")


Usage = list[int]
"""What somebody holds, or may, by Quota."""


class Bytes(Func):
    """Of a text in UTF-8."""

    function = "OCTET_LENGTH"
    output_field = BigIntegerField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        template = "LENGTH(CAST(%(expressions)s AS BLOB))"
        return self.as_sql(compiler, connection, template=template)


def stored_bytes(data: bytes, umd: str) -> int:
    """What a message or a storage entry counts."""
    return len(data) + len(umd) + ROW_BYTES


STORED: Final = Bytes("data") + Bytes("umd") + ROW_BYTES


def usages(uids: Sequence[str]) -> dict[str, Usage]:
    """What each of these people holds, but for the bytes of messages: `message_bytes`."""
    found = {uid: [0] * len(Quota) for uid in uids}
    connections = Connection.objects.live().filter(uid__in=uids).order_by()
    for uid, count in connections.values_list("uid").annotate(Count("id")):
        found[uid][Quota.CONNECTIONS] = count
    entries = StorageEntry.objects.live().filter(uid__in=uids, by_server=False).order_by()
    sizes = entries.values_list("uid").annotate(Count("id"), size=Sum(STORED))
    for uid, count, size in sizes:
        found[uid][Quota.STORAGE_KEYS], found[uid][Quota.STORED_BYTES] = count, size
    schedules = Schedule.objects.filter(uid__in=uids).order_by()
    for uid, count in schedules.values_list("uid").annotate(Count("id")):
        found[uid][Quota.SCHEDULES] = count
    senders = {sender_of(uid, ""): uid for uid in uids}
    acks = Acknowledgement.objects.filter(sender__in=senders, expires_at__gt=Now()).order_by()
    for sender, count in acks.values_list("sender").annotate(Count("id")):
        found[senders[sender]][Quota.ACKS] = count
    return found


def message_bytes(uid: str, after: str = "") -> tuple[int, str]:
    """The bytes of a person's messages, of ROWS above the id `after` those that live;
    and the last one's id, "" where there are no more."""
    counts = Q(by_server=False) & (Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
    size = Case(When(counts, then=STORED), default=0)
    rows = Message.objects.filter(uid=uid, id__gt=after).order_by("id").annotate(size=size)[:ROWS]
    found = rows.aggregate(count=Count("id"), total=Sum("size"), last=Max("id"))
    return found["total"] or 0, found["last"] if found["count"] == ROWS else ""


def usage_of(uid: str) -> tuple[Usage, bool]:
    """What a person holds; False: of messages, MOST_QUERIES times ROWS were counted, and there are
    more."""
    usage = usages([uid])[uid]
    after = ""
    for _ in range(MOST_QUERIES):
        size, after = message_bytes(uid, after)
        usage[Quota.STORED_BYTES] += size
        if not after:
            return usage, True
    return usage, False

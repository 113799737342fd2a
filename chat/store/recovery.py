"""What a subscriber has missed since a position, read from the channel's rows (protocol.md section
19). Unlike gap repair it leaves out what has expired, and what is outside a history window.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from django.db.models import BooleanField, ExpressionWrapper, Func, IntegerField, Q, QuerySet, Sum
from django.db.models.functions import Now
from ulid import ULID

from chat.models import Channel, Deletion, Message, Reaction, StorageEntry
from chat.protocol import events
from chat.store.changes_after import message_event, reaction_event

MAX_CHANGES: Final = 1000  # of messages, reactions and storage, whoever sees them
MAX_BYTES: Final = 1024 * 1024  # of frames: they are in memory until they are sent (P6)
LIVE_MESSAGE: Final = Q(message__hidden_at=None) & (
    Q(message__expires_at__isnull=True) | Q(message__expires_at__gt=Now())
)
STAYS: Final = Q(outlived=True) | Q(expires_at__gt=Now())  # the deleted message would, still
EXPIRED: Final = ExpressionWrapper(Q(expires_at__lte=Now()), BooleanField())


class Octets(Func):
    """The bytes of a text, which PostgreSQL tells without reading it; on SQLite its characters."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **options: Any) -> Any:
        return self.as_sql(compiler, connection, function="LENGTH", **options)


def changes_missed(
    channel: str,
    since: int,
    last_id: str,
    number: int,
    window: str,
    observes: Callable[[str], bool],
) -> list[bytes] | None:
    """The frames of what changed after `since` up to `last_id` and `number`, the channel's last
    message and change when it was subscribed to; in order, for whoever may see the messages above
    the id `window` and the keys that it `observes`. None where they are too many, or not all of
    them are known."""
    row = Channel.objects.get(name=channel)
    changed = {"channel_id": row.id, "number__gt": since, "number__lte": number}
    most = min(number - since, MAX_CHANGES + 1)
    sent = Message.objects.filter(channel_id=row.id, id__lte=last_id).order_by("-id")
    sent_ids = list(sent.values_list("id", "number")[: most + 1])
    missed = [id for id, number in sent_ids if number > since]
    entries = StorageEntry.objects.filter(**changed).order_by("number")
    keys = list(entries.values_list("key", flat=True)[:most])
    reactions = Reaction.objects.filter(**changed)
    marks = Deletion.objects.filter(**changed)
    if len(missed) + len(keys) + reactions[:most].count() + marks[:most].count() > MAX_CHANGES:
        return None
    messages = Message.objects.live().filter(id__in=[id for id in missed if id > window])
    entries = entries.filter(key__in=list(filter(observes, keys)))
    expired = _expired(row.id, since, sent_ids[len(missed) :])
    if len(expired) > MAX_CHANGES or _size(messages) + _size(entries) > MAX_BYTES:
        return None
    found = {row.number: message_event(channel, row) for row in messages}
    for reaction in reactions.filter(LIVE_MESSAGE, message_id__gt=window):
        found[reaction.number] = reaction_event(channel, reaction)
    for mark in marks.filter(STAYS, message_id__gt=window):
        found[mark.number] = events.message_deleted(channel, mark.message_id, mark.number)
    found |= _storage_events(channel, entries, [place for place in expired if observes(place[0])])
    frames = [found[number].frame for number in sorted(found)]
    # Last: what a purge has forgotten meanwhile is not among what was read.
    complete = Channel.objects.filter(id=row.id, forgotten__lte=since).exists()
    return frames if complete and sum(map(len, frames)) <= MAX_BYTES else None


def _storage_events(
    channel: str, changed: QuerySet[StorageEntry], expired: Sequence[tuple[str, int]]
) -> dict[int, events.Event]:
    found = {}
    stored: Any = changed.annotate(expired=EXPIRED)
    for entry in stored:
        data, meta = (None, None) if entry.expired else entry.shown
        found[entry.number] = events.storage_updated(channel, entry.key, data, meta, entry.number)
    for key, number in expired:
        found[number] = events.storage_updated(channel, key, None, None, number)
    return found


def _expired(
    channel_id: int, since: int, before: Sequence[tuple[str, int]]
) -> list[tuple[str, int]]:
    """Keys and numbers of entries that were set up to `since` and have expired after it, which
    nobody was told: after the first of the messages `before`, the last one up to there."""
    entries = StorageEntry.objects.filter(channel_id=channel_id, number__lte=since)
    expired = entries.filter(expires_at__lte=Now()).exclude(data="")
    for id, _ in before[:1]:
        expired = expired.filter(expires_at__gt=ULID.from_str(id).datetime)
    return list(expired.values_list("key", "number")[: MAX_CHANGES + 1])


def _size(rows: QuerySet[Any]) -> int:
    size: int | None = rows.aggregate(size=Sum(Octets("data")))["size"]
    return size or 0

"""What changed in a channel since a number, read from its rows: gap repair (promise P3). Ignores
expiry: a subscriber still gets what it should have seen a moment ago.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from django.db.models import Q, QuerySet
from django.db.models.functions import Length

from chat.fanout.announcements import Change
from chat.models import Channel, Deletion, Member, Message, Reaction, StorageEntry
from chat.protocol import events, ids
from chat.protocol.presence import members_json
from tokens.names import is_presence

ACTIONS = {False: "add", True: "remove"}
# Changes at once, and their data: memory stays bounded, however long the gap (P6).
MAX_READ: Final = 1000
MAX_READ_CHARACTERS: Final = 512 * 1024
MAX_ANNOUNCED_BYTES: Final = 256 * 1024  # of member events at once, each with the whole list


def changes_after(channel: str, after: int) -> tuple[list[Change], int]:
    """The changes with a greater number, in order, and the number up to which none is missing."""
    head = Channel.objects.filter(name=channel).first()
    if head is None or head.number <= after:
        return [], head.number if head else after
    # Bounded by the head that is read first: a commit between the queries below shows in the later
    # ones only, and what the earlier ones missed would be skipped.
    id, limit, messages = head.id, min(head.number, after + MAX_READ), _messages(head, after)
    entries = StorageEntry.objects.filter(channel_id=id, number__gt=after, number__lte=limit)
    size = "number", Length("data")
    sizes = list(messages.values_list(*size)[: limit - after])
    known = _fitting(limit, [*sizes, *entries.values_list(*size)])
    between = {"channel_id": id, "number__gt": after, "number__lte": known}
    found: dict[int, events.Event] = {}
    keys: dict[int, str] = {}
    for message in messages[: sum(number <= known for number, _ in sizes)]:
        if message.number <= known:
            found[message.number] = message_event(channel, message)
    for reaction in Reaction.objects.filter(**between, message__hidden_at=None):
        found[reaction.number] = reaction_event(channel, reaction)
    for mark in Deletion.objects.filter(**between):
        found[mark.number] = events.message_deleted(channel, mark.message_id, mark.number)
    for entry in entries.filter(number__lte=known):
        found[entry.number] = events.storage_updated(channel, entry.key, *entry.shown, entry.number)
        keys[entry.number] = entry.key
    if is_presence(channel):
        found |= _member_events(channel, id, after, known)
    changes = [
        Change(channel, previous, number, found[number], key=keys.get(number))
        for previous, number in pairwise([after, *sorted(found)])
    ]
    return changes, known


def _fitting(limit: int, sizes: Iterable[tuple[int, int]]) -> int:
    """Up to which number, `limit` at most, changes with data of these sizes fit. One always does:
    else a gap would never end."""
    total = 0
    for place, (number, size) in enumerate(sorted(sizes)):
        total += size
        if place and total > MAX_READ_CHARACTERS:
            return min(limit, number - 1)
    return limit


def _messages(head: Channel, after: int) -> QuerySet[Message]:
    """Those above `after`, in order, by the index of ids: an index of numbers would cost a quarter
    of each insert. Numbers rise with the ids, so those above `after` are among the last ones, and
    are no more than there were changes since."""
    until = Message.objects.filter(channel_id=head.id, id__lte=head.last_message_id)
    before = until.order_by("-id").values_list("id", flat=True)[head.number - after :].first()
    return until.filter(id__gt=before or "", number__gt=after, hidden_at=None).order_by("id")


def message_event(channel: str, row: Message) -> events.Event:
    meta = None if row.by_server else events.meta(row.uid, row.umd)
    return events.message(row.id, row.event, channel, row.data.encode(), meta, row.number)


def reaction_event(channel: str, row: Reaction) -> events.Event:
    return events.reaction(
        ids.new_id(int(row.created_at.timestamp() * 1000)),
        *(channel, row.message_id, row.reaction, ACTIONS[row.removed]),
        *(events.meta(row.uid, row.umd), row.number),
    )


def _member_events(channel: str, id: int, after: int, known: int) -> dict[int, events.Event]:
    """The last change of each member, with the list as it is now. Where that is much, only the last
    ones: they end with the true list, too, and do not fill the client's send queue (P6)."""
    rows = Member.objects.filter(Q(removed=False) | Q(number__gt=after), channel_id=id)
    members = list(rows.order_by("joined"))
    listed = members_json(events.meta(row.uid, row.umd) for row in members if not row.removed)
    changed = {row.number: row for row in members if after < row.number <= known}
    kept = sorted(changed)[-max(1, MAX_ANNOUNCED_BYTES // len(listed)) :]
    return {number: _member_event(channel, changed[number], after, listed) for number in kept}


def _member_event(channel: str, row: Member, after: int, listed: bytes) -> events.Event:
    kind = events.MEMBER_ADDED if row.joined > after else events.MEMBER_UPDATED
    kind = events.MEMBER_REMOVED if row.removed else kind
    return events.member(kind, channel, events.meta(row.uid, row.umd), listed)

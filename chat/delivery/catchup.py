"""What changed in a channel since a number, read from its rows: how a gap is closed (P3).

Looks past expiry: what a subscriber should have seen a moment ago it still gets.
"""

from typing import Final

from chat.models import Channel, Message, Reaction, StorageEntry
from chat.protocol import events, ids

from .changes import Change
from .reader import read

ACTIONS = {False: "add", True: "remove"}
MAX_READ: Final = 1000  # changes at once: what is read stays bounded, however long the gap (P6)


async def read_changes(channel: str, after: int) -> tuple[list[Change], int]:
    """The changes with a greater number, in their order, and the number up to which they are all.

    Raises SERVICE_UNAVAILABLE.
    """
    return await read(changes_after, channel, after)


def changes_after(channel: str, after: int) -> tuple[list[Change], int]:
    found = Channel.objects.filter(name=channel).values_list("id", "number").first()
    if found is None:
        return [], after
    # Bounded by a head read before: what is committed between the two queries below may show in
    # the second alone, and would count as all there is.
    id, head = found
    known = min(head, after + MAX_READ)
    between = {"channel_id": id, "number__gt": after, "number__lte": known}
    changed: list[tuple[int, events.Event, str | None]] = [
        *(
            (row.number, message_event(channel, row), None)
            for row in Message.objects.filter(**between)
        ),
        *(
            (row.number, _reaction_event(channel, row), None)
            for row in Reaction.objects.filter(**between)
        ),
        *(
            (row.number, entry_event(channel, row), row.key)
            for row in StorageEntry.objects.filter(**between)
        ),
    ]
    changed.sort(key=lambda change: change[0])
    previous = [after, *(number for number, _, _ in changed)]
    changes = [
        Change(channel, before, number, event, key=key)
        for before, (number, event, key) in zip(previous, changed, strict=False)
    ]
    return changes, known


def message_event(channel: str, row: Message) -> events.Event:
    meta = None if row.by_server else events.meta(row.uid, row.umd)
    return events.message(row.id, row.event, channel, row.data.encode(), meta)


def entry_event(channel: str, row: StorageEntry) -> events.Event:
    return events.storage_updated(channel, row.key, *row.shown)


def _reaction_event(channel: str, row: Reaction) -> events.Event:
    return events.reaction(
        ids.new_id(int(row.created_at.timestamp() * 1000)),
        *(channel, row.message_id, row.reaction, ACTIONS[row.removed]),
        events.meta(row.uid, row.umd),
    )

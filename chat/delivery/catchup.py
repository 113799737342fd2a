"""What changed in a channel since a number, read from its rows: how a gap is closed (P3).

Looks past expiry: what a subscriber should have seen a moment ago it still gets.
"""

from chat.models import Message, Reaction
from chat.protocol import events, ids

from .changes import Change
from .reader import read

ACTIONS = {False: "add", True: "remove"}


async def read_changes(channel: str, after: int) -> list[Change]:
    """The changes with a greater number, in their order; raises SERVICE_UNAVAILABLE."""
    return await read(changes_after, channel, after)


def changes_after(channel: str, after: int) -> list[Change]:
    messages = Message.objects.filter(channel__name=channel, number__gt=after)
    reactions = Reaction.objects.filter(channel__name=channel, number__gt=after)
    changed = [
        *((row.number, message_event(channel, row)) for row in messages.order_by("number")),
        *((row.number, _reaction_event(channel, row)) for row in reactions),
    ]
    changed.sort(key=lambda pair: pair[0])
    previous = [after, *(number for number, _ in changed)]
    return [
        Change(channel, before, number, event)
        for before, (number, event) in zip(previous, changed, strict=False)
    ]


def message_event(channel: str, row: Message) -> events.Event:
    meta = None if row.by_server else events.meta(row.uid, row.umd)
    return events.message(row.id, row.event, channel, row.data.encode(), meta)


def _reaction_event(channel: str, row: Reaction) -> events.Event:
    return events.reaction(
        ids.new_id(int(row.created_at.timestamp() * 1000)),
        *(channel, row.message_id, row.reaction, ACTIONS[row.removed]),
        events.meta(row.uid, row.umd),
    )

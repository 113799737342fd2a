"""Deleting messages with their reactions, a page of them at most.

What is deleted is gone from history at once; a window that shows it already still does, since the
protocol has no event for it.
"""

from collections.abc import Iterable

from django.db import transaction

from chat.models import Channel, Message, Reaction

from . import words


def summary(messages: Iterable[Message]) -> list[str]:
    """A line for each, for whoever is about to confirm."""
    return [f"{describe(message)}: {words.one_line(message.data)}" for message in messages]


def counts(messages: Iterable[Message]) -> dict[str, int]:
    """How many things will be gone, by what they are called."""
    ids = [message.id for message in messages]
    reactions = Reaction.objects.standing().filter(message_id__in=ids).count()
    return {"messages": len(ids), "reactions": reactions}


def describe(message: Message) -> str:
    """Whose it was and where; not what it said, which goes for a reason."""
    sender = words.named(message.uid, by_server=message.by_server)
    made = f"{words.moment_of(message.id):%Y-%m-%d %H:%M:%S}"
    return f"{made} {message.event} by {sender} in {message.channel.name}"


def delete(messages: Iterable[Message]) -> None:
    """Locks their channels first, as the writer does, in the same order: a reaction that arrives
    meanwhile finds the message either there or gone (design.md section 4)."""
    rows = list(messages)
    channels = {row.channel_id for row in rows}
    with transaction.atomic():
        locked = Channel.objects.select_for_update(no_key=True).filter(id__in=channels)
        list(locked.order_by("name"))
        Message.objects.filter(id__in=[row.id for row in rows]).delete()

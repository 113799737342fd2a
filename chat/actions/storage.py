"""What a channel keeps under its keys (protocol.md section 12)."""

from collections.abc import Callable, Collection
from typing import Final

from chat.actions.publishing import carry_out
from chat.fanout.send_queue import SendQueue
from chat.models import StorageEntry
from chat.protocol import events, schedule
from chat.protocol.commands import GetStorage, SetStorage
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Receipt
from chat.protocol.session import Session, Subscription
from chat.store.operations import storage
from chat.store.operations.work import AddSchedule
from chat.store.reads import read
from chat.store.writer import Writer

SET_STORAGE: Final = "hotsock.channelStorageSet"
PAGE: Final = 100
WINDOW: Final = 500
"""How many keys are looked through at once, without their values."""


async def set_storage(writer: Writer, session: Session, command: SetStorage) -> Receipt:
    """Sets or clears an entry, with or without a subscription, now or at its time; the receipt
    has the schedule's name.

    Raises ProtocolError: STORAGE_PERMISSION_DENIED, SCHEDULE_PERMISSION_DENIED,
    INVALID_SCHEDULE_EXPRESSION, INVALID_MESSAGE (the ack is another's), RATE_LIMITED (a quota),
    SERVICE_UNAVAILABLE.
    """
    channel = session.real_name(command.channel)
    sender = session.writer(channel, ErrorCode.STORAGE_PERMISSION_DENIED)
    rights = sender.grants.storage(channel, command.key)
    if not rights.set:
        raise _denied()
    write = storage.SetStorage(
        channel=channel,
        key=command.key,
        data=command.data,
        uid=sender.uid,
        umd=sender.umd,
        meta=sender.meta,
        store=rights.store,
        source=session.source if rights.emit_pubsub_event else None,
    )
    work: storage.SetStorage | AddSchedule = write
    if command.at is not None:
        schedule.permit(command.at, rights.schedule_before)
        work = AddSchedule(command.at, write)
    return await carry_out(writer, session, sender.uid, work, SET_STORAGE, command.ack)


async def get_storage(session: Session, command: GetStorage) -> events.Event:
    """What is under a key, as `hotsock.channelStorageData`.

    Raises ProtocolError: STORAGE_PERMISSION_DENIED, SERVICE_UNAVAILABLE.
    """
    channel = session.real_name(command.channel)
    if not session.sender(channel).grants.storage(channel, command.key).get:
        raise _denied()
    found = await list_entries(channel, keys=[command.key])
    data, meta = found[0].shown if found else (None, None)
    return events.storage_data(channel, command.key, data, meta)


def _denied() -> ProtocolError:
    return ProtocolError(
        ErrorCode.STORAGE_PERMISSION_DENIED, "You may not do this with this key of this channel."
    )


async def show_observed(send_queue: SendQueue, subscription: Subscription, head: int) -> int:
    """Sends the entries that a new subscription observes, as they are, in the order of their keys;
    returns their bytes.

    What changed after `head`, where the channel stood when it began, comes by its change. Raises
    SERVICE_UNAVAILABLE.
    """
    channel, after, size = subscription.channel, "", 0
    if not subscription.grants.may_observe(channel):
        return size
    while True:
        page = await list_entries(channel, after=after, allowed=subscription.observes)
        for entry in page:
            if entry.number <= head:
                await send_queue.room()
                event = events.storage_updated(channel, entry.key, *entry.shown, entry.number)
                send_queue.push(event)
                size += len(event.frame)
        if len(page) < PAGE:
            return size
        after = page[-1].key


async def list_entries(
    channel: str,
    *,
    keys: Collection[str] | None = None,
    after: str = "",
    allowed: Callable[[str], bool] = lambda key: True,
) -> list[StorageEntry]:
    """Up to 100 entries above the key `after`, in the order of their keys; fewer: they are all.

    Only those of `keys`, where it is given, and only those whose key is `allowed`. Raises
    SERVICE_UNAVAILABLE.
    """
    if keys is not None:
        wanted = [key for key in keys if key > after and allowed(key)]
        rows = StorageEntry.objects.live().of(channel).filter(key__in=wanted)
        return await read(list, rows.order_by("key")[:PAGE])
    return await read(_page, channel, after, allowed)


def _page(channel: str, after: str, allowed: Callable[[str], bool]) -> list[StorageEntry]:
    """Goes on where entries vanish between the look at their keys and the look at their values:
    who reads page by page takes a short one for the last."""
    found: list[StorageEntry] = []
    live = StorageEntry.objects.live().of(channel).order_by("key")
    while len(found) < PAGE:
        window = list(live.filter(key__gt=after)[:WINDOW].values_list("key", flat=True))
        if not window:
            break
        room = PAGE - len(found)
        wanted = [key for key in window if allowed(key)][:room]
        found += live.filter(key__in=wanted)
        after = wanted[-1] if len(wanted) == room else window[-1]
    return found

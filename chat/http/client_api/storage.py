"""`channelStorageGet`, `channelStorageSet` and `channelStorageList`."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from msgspec import Struct, json

from chat.actions.storage import get_storage, list_entries, set_storage
from chat.http.client_api.answers import Answer, accepted
from chat.models import StorageEntry
from chat.protocol import decoders, events, frames
from chat.protocol.commands import GetStorage
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime.node import Node

SET: Final = "hotsock.channelStorageSet"
MAX_KEYS: Final = 100


class Place(Struct, gc=False):
    """The body of `channelStorageGet`."""

    channel: str | None = None
    key: str | None = None


class Write(frames.Frame, gc=False, rename="camel"):
    """The body of `channelStorageSet`: a frame without its event."""

    event: str = SET


class Listing(Struct, gc=False):
    """The body of `channelStorageList`."""

    channel: str | None = None
    keys: list[str] | None = None
    after: str | None = None


_place = json.Decoder(Place)
_write = json.Decoder(Write)
_listing = json.Decoder(Listing)


async def get_entry(node: Node, session: Session, body: str) -> Answer:
    asked = frames.read(body, _place, "The body")
    command = GetStorage(decoders.valid_channel(asked.channel), decoders.valid_key(asked.key))
    return Answer((await get_storage(session, command)).payload)


async def set_entry(node: Node, session: Session, body: str) -> Answer:
    command = decoders.set_storage(frames.parse(body, "The body", _write))
    written = await set_storage(node.writer, session, command)
    return accepted(written.channel, SET, scheduleArn=written.schedule_arn)


async def entries(node: Node, session: Session, body: str) -> Answer:
    asked = frames.read(body, _listing, "The body")
    channel = session.real_name(decoders.valid_channel(asked.channel))
    found = await list_entries(
        channel,
        keys=None if asked.keys is None else valid_keys(asked.keys),
        after=decoders.valid_key(asked.after, "after") if asked.after else "",
        allowed=partial(session.may_get, channel),
    )
    return Answer(listing(found))


def valid_keys(keys: list[str]) -> list[str]:
    """Raises INVALID_REQUEST where they are too many, INVALID_STORAGE_KEY."""
    if len(keys) > MAX_KEYS:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, f"keys may hold up to {MAX_KEYS} keys.")
    return [decoders.valid_key(key, "keys") for key in keys]


def listing(rows: Iterable[StorageEntry]) -> bytes:
    """`{"items":[{"key":…,"data":…,"meta":…},…]}`."""
    items = (events.storage_item(entry.key, *entry.shown) for entry in rows)
    return b'{"items":[%b]}' % b",".join(items)

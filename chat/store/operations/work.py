"""Work for later: an operation as a row holds it. A row is a JSON object with a version, a kind
and plain fields; they do not change with the classes here. What a release before this one would
misread takes the next version; a new field that it may pass over does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Self, cast

from msgspec import Raw, Struct, json, structs

from chat.protocol import events, ids, publication, schedule
from chat.protocol.frames import NULL
from chat.protocol.publication import Receipt, Trigger
from chat.store.operations.audit import Actor
from chat.store.operations.deduplication import PublishOnce
from chat.store.operations.limits import Limit, hold, load_held
from chat.store.operations.messages import PublishMessage, SetReaction
from chat.store.operations.removal import Asked, DeleteMessage, RemoveMessages, ShowMessage
from chat.store.operations.storage import SetStorage
from chat.store.reports import raw
from chat.store.transaction import Operation, Transaction

VERSION: Final = 1
WITHOUT_VERSION: Final = 0  # of a release before versions
HELD: Final = "SELECT uid, count(*) FROM chat_schedule WHERE uid IN ({}) GROUP BY uid"
CANCEL: Final = "DELETE FROM chat_schedule WHERE id = ? RETURNING id"


class UnreadableWork(Exception):
    """A row that says nothing that can be done; the message names what is wrong with it."""


@dataclass(slots=True)
class AddSchedule(Operation[str]):
    """Schedules `work` for the moment `at`, and gives the schedule's id. Raises
    INVALID_SCHEDULE_EXPRESSION where the moment has passed."""

    at: datetime
    work: PublishMessage | SetStorage
    limit: Limit | None = None  # of what its uid has scheduled

    def locks(self) -> tuple[str, ...]:
        return self.work.locks()

    @property
    def size(self) -> int:
        return self.work.size

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        load_held(transaction, "schedule", HELD, (each.limit for each in operations))

    def apply(self, transaction: Transaction) -> str:
        if self.at < transaction.now:
            raise schedule.invalid("scheduleExpression names a time in the past.")
        hold(transaction, "schedule", self.limit)
        id, work = ids.new_id(transaction.ms), self.work
        place = id, transaction.heads[work.channel].id, work.uid if work.meta is not None else None
        rest = transaction.moment(self.at), encode(work), transaction.after(0)
        transaction.add("schedule", (*place, *rest))
        transaction.due = min(self.at, transaction.due or self.at)
        return id


@dataclass(slots=True)
class CancelSchedule(Operation[bool]):
    """Gives whether there was such a schedule; it is gone now."""

    id: str

    def apply(self, transaction: Transaction) -> bool:
        return bool(transaction.select(CANCEL, [self.id]))


# --- what rows say ------------------------------------------------------------------------------


class Source(Struct, frozen=True):
    """How a request came in, and who sent it."""

    trigger: str
    connection_id: str = ""
    address: str = ""
    user_agent: str = ""


class Row(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Of one kind. With a `deduplication_id` a repeat does nothing, and gets the receipt, which
    names `event` and has the result under the name `gives`."""

    gives: ClassVar[str | None] = None

    version: int = VERSION
    deduplication_id: str = ""


class Message(Row, frozen=True, tag="message"):
    """`store` in seconds, 0 for not stored, -1 for ever; `source` null: no backend event is wanted.
    The connection `origin` sent it, and gets it too where `echo` says so."""

    gives = "id"

    channel: str
    event: str
    data: Raw
    store: int
    uid: str | None
    umd: Raw = NULL
    by_server: bool = False
    origin: str | None = None
    echo: bool = False
    source: Source | None = None

    def operation(self) -> PublishMessage:
        umd = text(self.umd)
        meta = None if self.by_server else events.meta(self.uid, umd)
        sender = self.uid, umd, meta, self.store, self.origin, self.echo
        return PublishMessage(
            self.channel, self.event, bytes(self.data), *sender, _requested(self.source)
        )


class Storage(Row, frozen=True, tag="storage"):
    """`data` null clears the entry; `store` and `source` as a message's."""

    event: ClassVar = "hotsock.channelStorageSet"

    channel: str
    key: str
    data: Raw
    store: int
    uid: str | None
    umd: Raw = NULL
    by_server: bool = False
    source: Source | None = None

    def operation(self) -> SetStorage:
        umd = text(self.umd)
        meta = None if self.by_server else events.meta(self.uid, umd)
        data = None if self.data == NULL else bytes(self.data)
        sender = self.uid, umd, meta, self.store
        return SetStorage(self.channel, self.key, data, *sender, _requested(self.source))


class Reaction(Row, frozen=True, tag="reaction"):
    """`action` is add or remove; the other fields as a message's."""

    event: ClassVar = "hotsock.messageReaction"

    channel: str
    message_id: str
    reaction: str
    action: str
    uid: str
    umd: Raw = NULL
    origin: str | None = None
    echo: bool = False
    source: Source | None = None

    def operation(self) -> SetReaction:
        umd = text(self.umd)
        reactor = self.uid, umd, events.meta(self.uid, umd), self.reaction, self.action
        sent = self.origin, self.echo, _requested(self.source)
        return SetReaction(self.channel, self.message_id, *reactor, *sent)


class Deletion(Row, frozen=True, tag="delete"):
    """Of a message."""

    channel: str
    message_id: str
    source: Source | None = None
    actor: Actor | None = None

    def operation(self) -> DeleteMessage:
        return DeleteMessage(self.channel, self.message_id, _requested(self.source), self.actor)


class Removal(Row, frozen=True, tag="remove"):
    """Of messages; `hides` them instead."""

    channel: str
    ids: tuple[str, ...]
    hides: bool = False
    source: Source | None = None
    actor: Actor | None = None
    asked: Asked | None = None

    def operation(self) -> RemoveMessages:
        asked = self.hides, _requested(self.source), self.actor, self.asked
        return RemoveMessages((self.channel,), self.ids, *asked)


class Showing(Row, frozen=True, tag="show"):
    """Of a hidden message."""

    channel: str
    message_id: str
    actor: Actor | None = None

    def operation(self) -> ShowMessage:
        return ShowMessage(self.channel, self.message_id, self.actor)


class Schedule(Row, frozen=True, tag="schedule"):
    """Does `work` at a moment that has not come yet."""

    gives = "schedule_arn"

    at: datetime
    work: Message | Storage

    @property
    def channel(self) -> str:
        return self.work.channel

    @property
    def event(self) -> str:
        return self.work.event

    def operation(self) -> AddSchedule:
        return AddSchedule(self.at, self.work.operation())


class Cancellation(Row, frozen=True, tag="cancel"):
    schedule: str

    def operation(self) -> CancelSchedule:
        return CancelSchedule(self.schedule)


def text(raw: Raw) -> str:
    return bytes(raw).decode()


def _requested(source: Source | None) -> publication.Source | None:
    if source is None:
        return None
    trigger = cast("Trigger", source.trigger)
    return publication.Source(trigger, source.connection_id, source.address, source.user_agent)


# --- writing and reading ------------------------------------------------------------------------

AnyRow = Message | Storage | Reaction | Deletion | Removal | Showing | Schedule | Cancellation


NEVER_REPEATED: Final = Cancellation, Deletion, Removal, Showing  # none has a `deduplication_id`


class Versioned(Struct):
    version: int = WITHOUT_VERSION


class WithoutVersion(Struct):
    """Its JSON is in strings. `meta` null: it is the server's."""

    data: str | None = None
    umd: str = "null"
    meta: str | None = None


_version = json.Decoder(Versioned)
_without_version = json.Decoder(WithoutVersion)
_fields = json.Decoder(dict[str, Raw])
_decoder: json.Decoder[AnyRow] = json.Decoder(AnyRow)


def encode(operation: Operation[Any]) -> str:
    """Without its result and what it announces. A PublishOnce without a key is its `what`."""
    return json.encode(_row(operation)).decode()


def decode(row: str) -> Operation[Any]:
    """Raises UnreadableWork."""
    said = read(row)
    operation = said.operation()
    if not said.deduplication_id or isinstance(said, NEVER_REPEATED):
        return operation
    receipt = Receipt(said.channel, said.event)
    return PublishOnce(operation, receipt, said.gives, said.deduplication_id)


def read(row: str) -> AnyRow:
    """What a row says. Raises UnreadableWork."""
    try:
        version = _version.decode(row).version
        if version == WITHOUT_VERSION:
            return _decoder.decode(_with_version(row))
        if version != VERSION:
            raise UnreadableWork(f"unknown version {version}")
        return _decoder.decode(row)
    except (ValueError, RecursionError) as error:
        raise UnreadableWork(str(error)) from error


def _with_version(row: str) -> bytes:
    old = _without_version.decode(row)
    by_server = raw(json.encode(old.meta is None))
    changed = {"data": raw(old.data), "umd": Raw(old.umd), "by_server": by_server}
    return json.encode(_fields.decode(row) | changed)


def _row(operation: Operation[Any]) -> AnyRow:
    match operation:
        case PublishOnce():
            return structs.replace(_row(operation.what), deduplication_id=operation.key)
        case PublishMessage(channel, event, data, uid, umd, meta, store, origin, echo, source):
            sender = uid, Raw(umd), meta is None, origin, echo
            return Message(channel, event, Raw(data), store, *sender, _source(source))
        case SetStorage(channel, key, value, uid, umd, meta, store, source):
            writer = uid, Raw(umd), meta is None
            return Storage(channel, key, raw(value), store, *writer, _source(source))
        case SetReaction(channel, id, uid, umd, _, reaction, action, origin, echo, source):
            reactor = reaction, action, uid, Raw(umd), origin, echo
            return Reaction(channel, id, *reactor, _source(source))
        case DeleteMessage(channel, id, source, actor):
            return Deletion(channel, id, _source(source), actor)
        case RemoveMessages([channel], ids, hides, source, actor, asked):
            return Removal(channel, ids, hides, _source(source), actor, asked)
        case ShowMessage(channel, id, actor):
            return Showing(channel, id, actor)
        case AddSchedule(at, work):
            return Schedule(at, cast("Message | Storage", _row(work)))
        case CancelSchedule(id):
            return Cancellation(id)
    raise TypeError(f"{type(operation).__name__} is nothing for a row.")


def _source(source: publication.Source | None) -> Source | None:
    if source is None:
        return None
    return Source(source.trigger, source.connection_id, source.address, source.user_agent)

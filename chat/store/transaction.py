"""One batch of changes in one database transaction: heads are read under lock, rows are written in
sets. And what an operation is, which makes such changes. Decides nothing about chat.

Plain SQL on the driver's own cursor: Django's keeps every query under DEBUG, and one ORM save a
message is 20 to 50 times slower.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Protocol, cast

import psycopg
from msgspec import json

from chat.conf import settings
from chat.fanout.announcements import Announcement, Change
from chat.protocol import ids
from chat.protocol.events import Template
from chat.protocol.presence import Roster
from chat.protocol.restrictions import Rules
from chat.store.databases import begin, connection
from chat.store.epochs import new_epoch
from chat.store.reports import Report, Time, listening

PROTOCOL_VERSION: Final = "1.13.0"

OPERATION_BYTES: Final = 1024  # with its future and its place in the queue

Row = tuple[object, ...]


class Cursor(Protocol):
    """What is used of both drivers' cursors (PEP 249; `execute` gives the cursor itself)."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> "Cursor": ...
    def executemany(self, sql: str, rows: Sequence[Row], /) -> object: ...
    def fetchall(self) -> list[Row]: ...


def driver_cursor() -> Cursor:
    """A cursor of the driver's own, on this thread's connection, which must be open."""
    driver = connection.connection
    postgresql = connection.vendor == "postgresql"
    return cast("Cursor", psycopg.Cursor(driver) if postgresql else driver.cursor())


def marks(values: Sized) -> str:
    """A placeholder for each of them."""
    return ",".join("?" * len(values))


# What is inserted, in this order: what a row refers to is there. Backend events are last, when all
# that orders the changes is locked: so their ids have that order, too.
TABLES: Final = {
    "connection": "id connected_at claims address uid umd user_agent node_id secret_hash expires_at"
    " revoked network",
    "subscription": "connection_id channel_id uid umd counted claims head_id subscribed_at",
    "message": "id channel_id number event data uid umd by_server expires_at",
    "reaction": "message_id channel_id number uid umd reaction removed created_at",
    "deletion": "message_id channel_id number expires_at outlived",
    "member": "channel_id uid umd joined number removed changed_at",
    "storageentry": "channel_id key number data uid umd by_server expires_at reports_expiry",
    "schedule": "id channel_id uid due_at work created_at",
    "deduplication": "channel_id key answer expires_at",
    "acknowledgement": "channel_id sender ack digest result position expires_at",
    "auditentry": "at actor address action uid channel detail",
    "backendevent": "webhook_id stream type body created_at next_attempt_at attempts last_error",
}
UNIQUE: Final = {  # where such a row is there already, it is updated
    "reaction": "message_id uid reaction",
    "member": "channel_id uid",
    "storageentry": "channel_id key",
    "deduplication": "channel_id key",
    "acknowledgement": "channel_id sender ack",
}


def _insert(table: str) -> str:
    names, unique = TABLES[table].split(), UNIQUE.get(table, "").split()
    sql = f"INSERT INTO chat_{table} ({', '.join(names)}) VALUES ({marks(names)})"  # noqa: S608
    if unique:
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in unique)
        sql += f" ON CONFLICT ({', '.join(unique)}) DO UPDATE SET {changes}"
    return sql


INSERTS: Final = {table: _insert(table) for table in TABLES}
COPY_MESSAGES: Final = (
    f"COPY chat_message ({', '.join(TABLES['message'].split())}) FROM STDIN (FORMAT BINARY)"
)
MESSAGE_TYPES: Final = ("text", "int8", "int8", *["text"] * 4, "bool", "timestamptz")
LOCK_CHANNELS: Final = (
    "SELECT name, id, number, last_message_id, epoch, {} FROM chat_channel"
    " WHERE name IN ({}) ORDER BY name"
)
OUTBOX_WAITS: Final = (
    "EXISTS (SELECT FROM chat_outboxentry WHERE channel = name AND parked_at IS NULL)"
)
NEW_CHANNEL: Final = (
    "INSERT INTO chat_channel (name, number, last_message_id, changed_at, epoch)"
    " VALUES (?, 0, '', CURRENT_TIMESTAMP, ?) ON CONFLICT (name) DO NOTHING"
)
MOVE_CHANNEL: Final = (
    "UPDATE chat_channel SET number = ?, last_message_id = ?, changed_at = ? WHERE id = ?"
)
# All at once: 64 take PostgreSQL 0.2 ms instead of 0.8.
MOVE_CHANNELS: Final = (
    "UPDATE chat_channel SET number = moved.number, last_message_id = moved.last_message_id,"
    " changed_at = ? FROM unnest(?::bigint[], ?::text[], ?::bigint[])"
    " AS moved (number, last_message_id, id) WHERE chat_channel.id = moved.id"
)


@dataclass(slots=True)
class Head:
    """Where a channel stands, while its row is locked."""

    id: int
    number: int
    last_id: int
    epoch: str  # of its row
    moved: bool = False
    last_text: str = ""  # its last id as text, where this transaction made it

    def advance(self) -> int:
        """The number of the next change."""
        self.number += 1
        self.moved = True
        return self.number

    @property
    def last_message_id(self) -> str:
        return self.last_text or (ids.ulid_text(self.last_id) if self.last_id else "")


class Transaction:
    """What one batch reads and writes. `now` is the database's clock, read once locks are held."""

    now: datetime
    ms: int  # `now` in milliseconds since 1970

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.postgresql = connection.vendor == "postgresql"
        self.xid = ""  # PostgreSQL's number of this transaction
        self.heads: dict[str, Head] = {}  # of the channels that are locked
        self.names: dict[int, str] = {}  # of these channels, by row
        self.created: set[str] = set()  # channels that were not there before
        self.waiting: set[str] = set()  # channels that are locked and have outbox entries
        self.rows: dict[str, list[Row]] = {}  # to be inserted, by key of INSERTS
        self.reports: list[Report] = []
        self.due: datetime | None = None  # when the first thing that this schedules is due
        # What operations have read, and what those before them in the batch have changed.
        self.messages: dict[str, tuple[int, Time | None]] = {}  # live: id -> channel row, expiry
        self.reactions: dict[tuple[str, str, str], bool] = {}  # message, uid, reaction -> stands
        self.reacted: Counter[tuple[str, str]] = Counter()  # message, uid -> different reactions
        self.answers: dict[tuple[int, str], str] = {}  # channel row, deduplication id -> JSON
        # channel row, sender, ack -> digest, result, position
        self.acknowledged: dict[tuple[int, str, str], tuple[str, str, int | None]] = {}
        # channel row, storage key -> number, value and client's uid of what is set there
        self.entries: dict[tuple[int, str], tuple[int, bytes | None, str | None]] = {}
        self.held: Counter[tuple[str, str]] = Counter()  # kind of rows, uid -> how many it has
        self.rosters: dict[str, Roster] = {}  # of presence channels
        self.counts: dict[str, int] = {}  # channel -> subscriptions
        self.connected: Counter[str] = Counter()  # network -> connections
        self.unread: Rules | None = None  # restrictions that this process has not read yet
        self._afters: dict[float, Time] = {}  # seconds -> moment
        self._templates: dict[tuple[str, str], Template] = {}

    @cached_property
    def reporting(self) -> bool:
        """Whether anybody wants backend events."""
        return listening()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        return self.cursor.execute(self._sql(sql), parameters)

    def select[R: Row](self, sql: str, parameters: Sequence[object] = ()) -> list[R]:
        """The rows, of the type that the caller states: only its SQL knows."""
        return cast("list[R]", self.execute(sql, parameters).fetchall())

    def delete[R: Row](self, sql: str, parameters: Sequence[object], columns: str) -> list[R]:
        """Deletes rows, and gives these columns of them where backend events are wanted."""
        if self.reporting:
            return self.select(f"{sql} RETURNING {columns}", parameters)
        self.execute(sql, parameters)
        return []

    def lock(self, channels: Iterable[str], *, restart: bool = False) -> None:
        """Locks the rows of these channels, and creates those that are new. With `restart` no lock
        is held meanwhile: another process may be creating them too, and wait for that lock (seen as
        a deadlock)."""
        names = sorted(set(channels))
        if names and len(self._lock(names)) < len(names):
            new = [(name, new_epoch()) for name in names if name not in self.heads]
            if restart:
                self.execute("ROLLBACK")
                self.execute(begin())
                self.heads.clear()
            self.cursor.executemany(self._sql(NEW_CHANNEL), new)
            if self.cursor.rowcount == len(new):  # else others have just created some of them
                self.created.update(name for name, _ in new)
            self._lock(names)
        self._read_clock()  # after: waiting for a lock takes time

    def _lock(self, names: list[str]) -> dict[str, Head]:
        sql = LOCK_CHANNELS.format(OUTBOX_WAITS if self.postgresql else "FALSE", marks(names))
        if self.postgresql:
            sql += " FOR NO KEY UPDATE"  # a plain lock also blocks inserts that refer to the row
        rows: list[tuple[str, int, int, str, str, bool]] = self.select(sql, names)
        for name, id, number, last_id, epoch, waits in rows:
            self.heads[name] = Head(id, number, ids.ulid_int(last_id), epoch)
            self.names[id] = name
            if waits:
                self.waiting.add(name)
        return self.heads

    def _read_clock(self) -> None:
        if self.postgresql:
            rows: list[tuple[datetime, str]] = self.select(
                "SELECT clock_timestamp(), pg_current_xact_id()::text"
            )
            now, self.xid = rows[0]
            self.now = now.astimezone(UTC)
        else:
            self.now = datetime.now(UTC)  # SQLite's clock is its process's
        self.ms = int(self.now.timestamp() * 1000)

    def moment(self, moment: datetime) -> Time:
        """A time as the driver takes it."""
        return moment if self.postgresql else str(moment.astimezone(UTC).replace(tzinfo=None))

    def after(self, seconds: float) -> Time:
        """That long after `now`. Made once for each lifetime: a batch has few."""
        moment = self._afters.get(seconds)
        if moment is None:
            moment = self.moment(self.now + timedelta(seconds=seconds))
            self._afters[seconds] = moment
        return moment

    def template(self, event: str, channel: str) -> Template:
        """Of a message's frame, for as many as a batch has under this event."""
        template = self._templates.get((event, channel))
        if template is None:
            template = self._templates[event, channel] = Template(event, channel)
        return template

    def next_message_id(self, head: Head) -> str:
        """Those of one transaction in one channel count on: drawing each anew takes longer."""
        if head.last_text:
            head.last_id += 1
            head.last_text = ids.following(head.last_text, head.last_id)
        else:
            head.last_id = ids.next_id(head.last_id, self.ms)
            head.last_text = ids.ulid_text(head.last_id)
        return head.last_text

    def add(self, table: str, row: Row) -> None:
        """A row to be inserted."""
        self.rows.setdefault(table, []).append(row)

    def withdraw[R: Row](self, table: str, *beginning: object) -> list[R]:
        """The rows added so far that begin with these values; they are not inserted any more."""
        rows, size = self.rows.get(table, []), len(beginning)
        found = [row for row in rows if row[:size] == beginning]
        if found:
            self.rows[table] = [row for row in rows if row[:size] != beginning]
        return cast("list[R]", found)

    def report(
        self,
        type: str,
        data_type: str,
        stream: str,
        data: Mapping[str, object],
        request: Mapping[str, str] | None = None,
    ) -> None:
        """Sends a backend event, if this commits and anybody wants them. `request` is what its
        metadata says besides the channel."""
        if not self.reporting:
            return
        where = {} if data_type == "connection" else {"channel": stream}
        metadata = {"hotsockVersion": PROTOCOL_VERSION, **where, **(request or {})}
        report = Report(type, data_type, stream, metadata, json.encode(data))
        self.reports.append(report)
        if settings.WEBHOOK_URL:
            now = self.moment(self.now)
            row = (report.id, stream, type, report.body.decode(), now, now, 0, "")
            self.add("backendevent", row)

    def flush(self) -> None:
        """Writes all that was collected."""
        for table in filter(self.rows.__contains__, INSERTS):
            rows = self.rows[table]
            if table == "message" and self.postgresql and len(rows) > 1:
                self._copy_messages(rows)
            elif rows:
                self.cursor.executemany(self._sql(INSERTS[table]), rows)
        self._move_heads()

    def _copy_messages(self, rows: Iterable[Row]) -> None:
        """As their insert; 64 took 0.6 ms instead of 1.5."""
        with cast("psycopg.Cursor[Row]", self.cursor).copy(COPY_MESSAGES) as copy:
            copy.set_types(MESSAGE_TYPES)
            for row in rows:
                copy.write_row(row)

    def _move_heads(self) -> None:
        now = self.moment(self.now)
        heads = [head for head in self.heads.values() if head.moved]
        moved = [(head.number, head.last_message_id, head.id) for head in heads]
        if self.postgresql and len(moved) > 1:
            self.execute(MOVE_CHANNELS, (now, *map(list, zip(*moved, strict=True))))
        elif moved:
            rows = [(number, last_id, now, id) for number, last_id, id in moved]
            self.cursor.executemany(self._sql(MOVE_CHANNEL), rows)

    def _sql(self, sql: str) -> str:
        return sql.replace("?", "%s") if self.postgresql else sql


# --- what runs in a transaction -----------------------------------------------------------------
# In the writer's thread. A refusal found here (a message gone, a token used before) is raised as
# ProtocolError before anything is added: it is that operation's outcome, and its batch goes on.


@dataclass(slots=True)
class Operation[Result]:
    """One write. `apply` gives its result, which the caller gets once the batch is committed;
    `announced` is what subscribers get then, in this order."""

    announced: Sequence[Announcement] = field(default=(), init=False, repr=False, compare=False)

    def locks(self) -> tuple[str, ...]:
        """The names of the channels whose rows must be locked, and created where missing."""
        return ()

    @property
    def size(self) -> int:
        """How many bytes it holds while it waits, about."""
        return OPERATION_BYTES

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Any]) -> None:
        """Reads what `apply` needs to know, for all `operations`, which are of this class."""

    def apply(self, transaction: Transaction) -> Result:
        """Adds its rows, and sets `announced` where it changes what subscribers see."""
        raise NotImplementedError

    def perform(self, transaction: Transaction) -> Result:
        """Applies it, maybe again: a batch that fails is retried."""
        self.announced = ()
        return self.apply(transaction)


@dataclass(slots=True)
class ChannelOperation[Result](Operation[Result]):
    """A write to one channel, which changes it once at most."""

    channel: str

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def change(self) -> Change | None:
        """What it has changed, None where that is nothing."""
        change = self.announced[0] if self.announced else None
        return change if isinstance(change, Change) else None


def load_all(transaction: Transaction, operations: Iterable[Operation[object]]) -> None:
    """Each kind reads what its operations need: always in the same order of kinds, so that no two
    processes wait for each other."""
    kinds: dict[type[Operation[object]], list[Operation[object]]] = defaultdict(list)
    for operation in operations:
        kinds[type(operation)].append(operation)
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        kind.load(transaction, kinds[kind])

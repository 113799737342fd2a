"""What a purge deletes, and when: KINDS has an entry for each kind of row. Conditions only.

To let another kind expire, add an entry.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import ManyToOneRel, Model

from chat.models import Channel

from .database import Database, Key, Parameter

WINDOW: Final = 10_000
"""How many keys are read at once, outside of any transaction that writes."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that refer to those of a kind by `column`, and are deleted with them."""

    name: str
    table: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows of `table` to delete where `due` holds.

    `due` is plain SQL with one parameter: the time that lies `keep` before now. The statement that
    deletes checks it again, so that a row which has changed meanwhile stays.

    `indexed`: an index on `expires_at` finds the rows. Otherwise the whole table is read: an index
    on a channel's `changed_at` would cost every stored message more than that costs a purge, and
    members are few.
    """

    name: str
    table: str
    key: str = "id"
    due: str = "expires_at < %s"
    indexed: bool = True
    keep: timedelta = timedelta(0)
    parts: tuple[Part, ...] = ()

    def latest(self, database: Database, now: datetime) -> Parameter:
        """The parameter of `due`."""
        return database.timestamp(now - self.keep)

    def windows(self, database: Database, now: datetime) -> Iterator[list[Key]]:
        """Yields the keys of due rows, up to WINDOW at once. The caller deletes those rows before
        it asks for more."""
        key, table, due = self.key, self.table, self.due
        where, order = (due, "expires_at") if self.indexed else (f"{key} > %s", key)
        sql = f"SELECT {key}, {due} FROM {table} WHERE {where} ORDER BY {order} LIMIT %s"  # noqa: S608
        latest, last = self.latest(database, now), 0
        before: list[tuple[Key, bool]] = []
        while rows := database.select(sql, latest, latest if self.indexed else last, WINDOW):
            if rows == before:  # others have locked all of them
                return
            yield [key for key, is_due in rows if is_due]
            before, last = rows, rows[-1][0]

    def count(self, database: Database, now: datetime) -> int:
        if not self.indexed:
            return sum(len(keys) for keys in self.windows(database, now))
        sql = f"SELECT count(*) FROM {self.table} WHERE {self.due}"  # noqa: S608
        return database.count(sql, self.latest(database, now))

    def count_parts(self, database: Database, now: datetime) -> dict[str, int]:
        due = f"SELECT {self.key} FROM {self.table} WHERE {self.due}"  # noqa: S608
        sql = "SELECT count(*) FROM {0.table} WHERE {0.column} IN ({1})"
        latest = self.latest(database, now)
        return {part.name: database.count(sql.format(part, due), latest) for part in self.parts}


def unused(model: type[Model]) -> str:
    """The condition that no row of any table refers to one of `model`'s."""
    table = model._meta.db_table
    fields = (
        relation.field
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, ManyToOneRel)
    )
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {other} WHERE {other}.{field.column} = {table}.id)"  # noqa: S608
        for field in fields
        for other in [field.model._meta.db_table]
    )


MINUTE: Final = timedelta(minutes=1)
"""Gap repair reads rows that have just expired (design.md section 4, "The hub")."""

KINDS: Final = (
    Kind(
        name="messages",
        table="chat_message",
        keep=MINUTE,
        parts=(Part("reactions", "chat_reaction", "message_id"),),
    ),
    Kind(
        name="storage_entries",  # an entry that is cleared expires at once
        table="chat_storageentry",
        due="expires_at < %s AND NOT reports_expiry",
        keep=MINUTE,
    ),
    Kind(
        name="former_members",
        table="chat_member",
        due="removed AND changed_at < %s",
        indexed=False,
        keep=MINUTE,
    ),
    Kind(name="deduplications", table="chat_deduplication"),
    Kind(name="used_tokens", table="tokens_usedtoken", key="digest"),
    Kind(
        name="channels",
        table="chat_channel",
        due=f"changed_at < %s AND {unused(Channel)}",
        indexed=False,
        keep=timedelta(days=7),
    ),
)
NAMES: Final = [name for kind in KINDS for name in (kind.name, *(part.name for part in kind.parts))]

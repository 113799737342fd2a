"""What goes, and when: a row of KINDS for each kind of row. Conditions only; nothing is done here.

To let another kind expire is to add a row. A condition is plain SQL, as in `chat.delivery`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from django.db.models import ManyToOneRel, Model

from chat.models import Channel

from .database import Database, Key

WINDOW: Final = 10_000
"""How many keys are read at once, outside of any transaction that writes."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that refer to those of a kind by `column`, and go with them."""

    name: str
    table: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows of `table` that are to go where `due` holds.

    `due` is a condition with one parameter: the moment that lies `keep` before now. It is asked
    again in the statement that deletes, so that a row which has changed meanwhile stays.
    """

    name: str
    table: str
    key: str = "id"
    due: str
    keep: timedelta = timedelta(0)
    parts: tuple[Part, ...] = ()
    indexed: ClassVar[bool]

    def windows(self, database: Database, moment: datetime) -> Iterator[list[Key]]:
        """The keys of rows that are due, up to WINDOW at once; those of one are gone, or held by
        another transaction, when the next is asked for."""
        raise NotImplementedError

    def count(self, database: Database, moment: datetime) -> int:
        raise NotImplementedError

    def count_parts(self, database: Database, moment: datetime) -> dict[str, int]:
        due = f"SELECT {self.key} FROM {self.table} WHERE {self.due}"  # noqa: S608
        counts = {
            part.name: f"SELECT count(*) FROM {part.table} WHERE {part.column} IN ({due})"  # noqa: S608
            for part in self.parts
        }
        latest = database.moment(moment)
        return {name: database.select(sql, latest)[0][0] for name, sql in counts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring(Kind):
    """Rows with a time of their own, the oldest first. An index on that column must serve it."""

    indexed = True
    due: str = "expires_at < ?"
    order: str = "expires_at"

    def windows(self, database: Database, moment: datetime) -> Iterator[list[Key]]:
        sql = f"SELECT {self.key} FROM {self.table} WHERE {self.due} ORDER BY {self.order} LIMIT ?"  # noqa: S608
        before: list[Key] = []
        while keys := [key for (key,) in database.select(sql, database.moment(moment), WINDOW)]:
            if keys == before:  # all of them are held by others, who see to them
                return
            yield keys
            before = keys

    def count(self, database: Database, moment: datetime) -> int:
        sql = f"SELECT count(*) FROM {self.table} WHERE {self.due}"  # noqa: S608
        count: int = database.select(sql, database.moment(moment))[0][0]
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle(Kind):
    """Rows that no index finds when they are due: all are walked past, by key.

    An index on a channel's `changed_at` would cost every stored message more than the walk costs a
    purge; members are few.
    """

    indexed = False

    def windows(self, database: Database, moment: datetime) -> Iterator[list[Key]]:
        sql = (
            f"SELECT {self.key}, {self.due} FROM {self.table}"  # noqa: S608
            f" WHERE {self.key} > ? ORDER BY {self.key} LIMIT ?"
        )
        last: Key = 0
        while rows := database.select(sql, database.moment(moment), last, WINDOW):
            yield [key for key, due in rows if due]
            last = rows[-1][0]

    def count(self, database: Database, moment: datetime) -> int:
        return sum(len(keys) for keys in self.windows(database, moment))


def unused(model: type[Model]) -> str:
    """The condition that no row of any table refers to one of `model`'s."""
    table = model._meta.db_table
    references = [
        relation.field
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, ManyToOneRel)
    ]
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {other} WHERE {other}.{field.column} = {table}.id)"  # noqa: S608
        for field in references
        for other in [field.model._meta.db_table]
    )


KINDS: Final[tuple[Kind, ...]] = (
    Expiring(
        name="messages",
        table="chat_message",
        keep=timedelta(seconds=60),  # repair looks past expiry (design.md section 4, "The hub")
        parts=(Part("reactions", "chat_reaction", "message_id"),),
    ),
    Expiring(
        name="storage_entries",
        table="chat_storageentry",
        due="expires_at < ? AND NOT reports_expiry",
        keep=timedelta(seconds=60),  # as messages; those that were cleared have expired since then
    ),
    Idle(
        name="former_members",
        table="chat_member",
        due="removed AND changed_at < ?",
        keep=timedelta(seconds=60),  # as messages: whoever was away learns of it
    ),
    Expiring(name="deduplications", table="chat_deduplication"),
    Expiring(name="used_tokens", table="tokens_usedtoken", key="digest"),
    Idle(
        name="channels",
        table="chat_channel",
        due=f"changed_at < ? AND {unused(Channel)}",
        keep=timedelta(days=7),
    ),
)

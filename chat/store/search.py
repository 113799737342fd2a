"""Messages by their text: the full-text search of the database, which keeps its index itself once
`manage.py index_messages` has built it. Without that, nothing here costs a write anything.

PostgreSQL has an index of an expression. SQLite has a table of words (FTS5) and one that numbers
messages for it, both kept by triggers; the greatest number is the latest message's.
"""

from typing import Final

from django.db.models import BooleanField, CharField, QuerySet
from django.db.models.expressions import RawSQL

from chat.conf import settings
from chat.models import Message
from chat.store.databases import connection

EDGE: Final = 2**62  # beyond all numbers
INDEX: Final = "chat_message_text"
# The escapes of JSON between words; else `two\nlines` would be `two` and `nlines`.
TEXT: Final = r"replace(replace(replace({}, '\n', ' '), '\r', ' '), '\t', ' ')"
WORDS: Final = f"to_tsvector('simple', {TEXT.format('chat_message.data')})"

CREATE_SQLITE: Final = (
    f"CREATE TABLE IF NOT EXISTS {INDEX}_row (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE)",
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {INDEX} USING fts5 (data, content='',"
    " tokenize='unicode61 remove_diacritics 0')",
    # What is deleted is overwritten, not only marked.
    f"INSERT INTO {INDEX} ({INDEX}, rank) VALUES ('secure-delete', 1)",  # noqa: S608
    f"CREATE TRIGGER IF NOT EXISTS {INDEX}_add AFTER INSERT ON chat_message BEGIN"  # noqa: S608
    f" INSERT INTO {INDEX}_row (id) VALUES (new.id);"
    f" INSERT INTO {INDEX} (rowid, data)"
    f" SELECT n, {TEXT.format('new.data')} FROM {INDEX}_row WHERE id = new.id; END",
    f"CREATE TRIGGER IF NOT EXISTS {INDEX}_remove AFTER DELETE ON chat_message BEGIN"  # noqa: S608
    f" INSERT INTO {INDEX} ({INDEX}, rowid, data)"
    f" SELECT 'delete', n, {TEXT.format('old.data')} FROM {INDEX}_row WHERE id = old.id;"
    f" DELETE FROM {INDEX}_row WHERE id = old.id; END",
)
DROP_SQLITE: Final = (
    f"DROP TRIGGER IF EXISTS {INDEX}_add",
    f"DROP TRIGGER IF EXISTS {INDEX}_remove",
    f"DROP TABLE IF EXISTS {INDEX}",
    f"DROP TABLE IF EXISTS {INDEX}_row",
)
# Those that were there before, the latest first: each has a lower number than all so far.
UNINDEXED: Final = (
    "SELECT id FROM chat_message WHERE id < %s AND NOT EXISTS"  # noqa: S608
    f" (SELECT 1 FROM {INDEX}_row WHERE {INDEX}_row.id = chat_message.id)"
    " ORDER BY id DESC LIMIT %s"
)
NUMBER: Final = (
    f"INSERT OR IGNORE INTO {INDEX}_row (n, id)"  # noqa: S608
    f" SELECT coalesce((SELECT min(n) FROM {INDEX}_row), 0) - 1, id FROM chat_message WHERE id = %s"
)
INDEX_ONE: Final = (
    f"INSERT INTO {INDEX} (rowid, data) SELECT n, {TEXT.format('data')}"  # noqa: S608
    f" FROM chat_message JOIN {INDEX}_row USING (id) WHERE id = %s"
)
BUILD_POSTGRESQL: Final = f"CREATE INDEX CONCURRENTLY {INDEX} ON chat_message USING gin ({WORDS})"
DROP_POSTGRESQL: Final = f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}"
FOUND: Final = (
    f"SELECT numbered.id FROM {INDEX} AS words CROSS JOIN {INDEX}_row AS numbered"  # noqa: S608
    f" ON numbered.n = words.rowid WHERE words.{INDEX} MATCH %s"
)
IS_BUILT: Final = {
    # An index that was broken off is there, and not valid. A migration may take triggers away.
    "postgresql": f"SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('{INDEX}') AND"  # noqa: S608
    " indisvalid",
    "sqlite": f"SELECT count(*) = 2 FROM sqlite_master WHERE name IN ('{INDEX}_add',"  # noqa: S608
    f" '{INDEX}_remove')",
}


def is_built() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(IS_BUILT[connection.vendor])
        return bool(cursor.fetchone()[0])


def is_offered() -> bool:
    """Whether messages can be searched: MESSAGE_SEARCH is on, and the index is there."""
    return settings.MESSAGE_SEARCH and is_built()


def having(rows: QuerySet[Message], text: str) -> QuerySet[Message]:
    """Those that have all words of the text, on PostgreSQL."""
    matches = f"{WORDS} @@ plainto_tsquery('simple', %s)"
    return rows.filter(RawSQL(matches, [text], BooleanField()))  # noqa: S611


def ids_having(text: str, most: int, *, beyond: str | None, ascending: bool) -> RawSQL:
    """On SQLite the ids of the latest messages, `most`, that have all words of the text, below the
    id `beyond`; `ascending`: of the first ones above it. By their numbers, which nearly have the
    order of ids."""
    order, sign, nearest, edge = ("ASC", ">", "<= %s ORDER BY id DESC", -EDGE)
    if not ascending:
        order, sign, nearest, edge = ("DESC", "<", ">= %s ORDER BY id", EDGE)
    sql, parameters = FOUND, [_phrases(text)]
    if beyond is not None:
        place = f"SELECT n FROM {INDEX}_row WHERE id {nearest} LIMIT 1"  # noqa: S608
        sql += f" AND words.rowid {sign} coalesce(({place}), {edge})"
        parameters.append(beyond)
    sql += f" ORDER BY words.rowid {order} LIMIT {most:d}"
    return RawSQL(sql, parameters, CharField())  # noqa: S611


def _phrases(text: str) -> str:
    """Each word as a string of FTS5, in which nothing has a meaning of its own."""
    return " ".join('"{}"'.format(word.replace('"', '""')) for word in text.split())

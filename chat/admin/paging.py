"""Pages by key instead of by number: each is answered by one index, however long the table is.

Never counts, never skips more than SCAN rows: a page is what comes after a key in the order of
one index. Knows querysets; nothing here is about messages or about HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, Self

from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet, Subquery
from django.db.models.constants import LOOKUP_SEP
from django.utils.timezone import is_aware

SCAN: Final = 10_000  # rows looked at for one page, where an index answers a part of the question
SEPARATOR: Final = ","  # in no column but the last: no channel's name may hold it

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that one index holds together, in its order.

    `rows` is unordered and filtered by what the index answers; `rest` is what it does not, on
    columns that no index holds (see `filters`), so that no planner takes another one. `key`
    orders: columns of the model or of what it refers to, the last one unique among those that
    share the others. `ascending`: the first page begins with the least.
    """

    rows: QuerySet[Any]
    key: tuple[str, ...] = ("id",)
    rest: Q = field(default_factory=Q)
    ascending: bool = False

    @property
    def passes_over(self) -> bool:
        """Whether a page looks at what is none of its rows: at SCAN of them at most."""
        return bool(self.rest)

    def after(self, key: Key | None, *, back: bool) -> QuerySet[Any]:
        """What comes after `key` in the order of the pages; `back`: before it, nearest first."""
        up = self.ascending is not back
        rows = self.rows if key is None else self.rows.filter(_past(self.key, key, UP[up]))
        return rows.order_by(*(column if up else f"-{column}" for column in self.key))

    def mark(self, key: Key | None, *, back: bool) -> Subquery:
        """The first column of the row number SCAN after `key`, read from the index alone: of rows
        that share theirs with the key, those before it are counted, too."""
        up, column = self.ascending is not back, self.key[0]
        rows = self.rows
        if key is not None:
            rows = rows.filter((f"{column}__{UP[up]}{'e' if len(key) > 1 else ''}", key[0]))
        ordered = rows.order_by(column if up else f"-{column}")
        return Subquery(ordered.values(column)[SCAN - 1 : SCAN])

    def until(self, mark: Key, *, back: bool) -> Q:
        """What comes no later than `mark` in the order of `after`."""
        return _past(self.key, mark, f"{UP[self.ascending is back]}e")

    def key_of(self, row: Any) -> Key:
        return tuple(attrgetter(column.replace(LOOKUP_SEP, "."))(row) for column in self.key)

    def text(self, key: Key) -> str:
        """How a link holds a key; of a mark, only the first column is known."""
        parts = (part.isoformat() if isinstance(part, datetime) else str(part) for part in key)
        return SEPARATOR.join((*parts, *[""] * (len(self.key) - len(key))))

    def parse(self, text: str) -> Key | None:
        """The key that a link holds; None where it is none of this stream's."""
        parts = text.split(SEPARATOR, len(self.key) - 1)
        if not parts[0] or len(parts) != len(self.key) or "\0" in text:
            return None
        columns = (get_fields_from_path(self.rows.model, name)[-1] for name in self.key)
        try:
            return tuple(_value(*pair) for pair in zip(columns, filter(None, parts), strict=False))
        except (ValidationError, ValueError, OverflowError):
            return None


UP: Final = {True: "gt", False: "lt"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after a key or, `back`, before it. No text: at the beginning or, `back`,
    at the end."""

    text: str = ""
    back: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        if parameters.get("newer"):
            return cls(parameters["newer"], back=True)
        return cls(parameters.get("older", ""))


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the pages, and the texts of the cursors to go on; "" where nothing is.

    `partial`: SCAN rows were looked at, and there may be more that match beyond them.
    """

    rows: list[Any]
    older: str = ""
    newer: str = ""
    partial: bool = False


def read_page(streams: Sequence[Stream], cursor: Cursor, size: int) -> Page:
    """Up to `size` rows of the question that all `streams` answer, each by its own index."""
    streams, key = _starting(streams, cursor)
    back = cursor.back and not (key is None and cursor.text)
    stream, mark = _bounded(streams, key, back)
    rows = stream.after(key, back=back)
    if mark is not None:
        rows = rows.filter(stream.until(mark, back=back))
    found = list(rows.filter(stream.rest)[: size + 1])
    more, found = len(found) > size, found[:size]
    last = stream.key_of(found[-1]) if more else mark
    onward = stream.text(last) if last is not None else ""
    origin = stream.text(stream.key_of(found[0])) if found and key is not None else ""
    partial = mark is not None and not more
    if back:
        return Page(found[::-1], older=origin, newer=onward, partial=partial)
    return Page(found, older=onward, newer=origin, partial=partial)


def _starting(streams: Sequence[Stream], cursor: Cursor) -> tuple[Sequence[Stream], Key | None]:
    """The streams in whose order the cursor is, with its key; all of them where it is in none."""
    keys = {stream.key: key for stream in streams if (key := stream.parse(cursor.text))}
    if not keys:
        return streams, None
    columns = max(keys, key=len)  # a key of one text column may look like any
    return [stream for stream in streams if stream.key == columns], keys[columns]


def _bounded(streams: Sequence[Stream], key: Key | None, back: bool) -> tuple[Stream, Key | None]:
    """The first stream with fewer than SCAN rows from here on: all of them may be looked at.

    Where each has more: the first, and the key of its row number SCAN.
    """
    if len(streams) == 1 and not streams[0].passes_over:
        return streams[0], None
    marks = {f"mark_{n}": stream.mark(key, back=back) for n, stream in enumerate(streams)}
    rows = streams[0].rows
    one_row = rows.model._base_manager.using(rows.db).order_by().annotate(**marks)
    surveyed = one_row.values_list(*marks).first() or [None]
    if None in surveyed:
        return streams[surveyed.index(None)], None
    return streams[0], (surveyed[0],)


def _past(columns: Sequence[str], key: Key, lookup: str) -> Q:
    """Rows whose key is `lookup` (lt, lte, gt, gte) this one, as far as it is known."""
    (column, *others), (value, *values) = columns, key
    if not values:
        return Q((f"{column}__{lookup}", value))
    strict = lookup[:2]
    beyond = Q((f"{column}__{strict}", value)) | _past(others, tuple(values), lookup)
    return Q((f"{column}__{strict}e", value)) & beyond  # alone, the OR is answered by no index


def _value(column: Any, text: str) -> Any:
    value = column.to_python(text)
    if isinstance(value, datetime):
        if not is_aware(value):
            raise ValueError(text)
        return value.astimezone(UTC)  # OverflowError at the edge of time
    return value

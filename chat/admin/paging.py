"""What a list can be asked for, by queries that read a bounded number of rows, however long the
table is.

Keyset pagination: a page is what follows a key in the order of one index. Nothing is counted
beyond a cap, and no page passes over more than SCAN_LIMIT rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, ClassVar, Final, cast

from django import forms
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import ValidationError
from django.db.models import IntegerField, Model, Q, QuerySet, Subquery, Value
from django.db.models.constants import LOOKUP_SEP
from django.db.models.functions import Now
from django.utils.timezone import is_aware

from chat.models import Channel

SCAN_LIMIT: Final = 10_000  # rows read for one page where an index answers a part of the filter
SEPARATOR: Final = ","  # in no column but the last: no channel's name may hold it
UP: Final = {True: "gt", False: "lt"}

type Key = tuple[str | int | datetime, ...]
type Scans[M: Model] = Sequence[IndexScan[M]]


@dataclass(frozen=True, slots=True)
class IndexScan[M: Model]:
    """Rows in the order of one index.

    `rows` is unordered and filtered by the conditions that the index answers; `residual` holds the
    others, on columns that no index holds (see `filters`), so that no planner takes another index.
    `key` is the order: columns of the model or of a related one, the last one unique among rows
    that share the others. `ascending`: the first page begins with the smallest key.

    `driving` is the outer table of a join, where most rows may match nothing: then its rows count
    against SCAN_LIMIT, by their column of the key's first name.
    """

    rows: QuerySet[M]
    key: tuple[str, ...] = ("id",)
    residual: Q = field(default_factory=Q)
    ascending: bool = False
    driving: QuerySet[Model] | None = None

    def after(self, key: Key | None) -> QuerySet[M]:
        up = self.ascending
        rows = self.rows if key is None else self.rows.filter(_beyond(self.key, key, UP[up]))
        return rows.order_by(*(column if up else f"-{column}" for column in self.key))

    def limit(self, key: Key | None) -> Subquery:
        """The first column of the row number SCAN_LIMIT after `key`, read from the index only.

        Rows that share their first column with `key` count, too, those before it included.
        """
        up, column, rows = self.ascending, self.key[0], cast(QuerySet[Model], self.rows)
        if self.driving is not None:
            rows, column = self.driving, column.rpartition(LOOKUP_SEP)[2]
        if key is not None:
            rows = rows.filter((f"{column}__{UP[up]}{'e' if len(key) > 1 else ''}", key[0]))
        ordered = rows.order_by(column if up else f"-{column}")
        return Subquery(ordered.values(column)[SCAN_LIMIT - 1 : SCAN_LIMIT])

    def key_of(self, row: M) -> Key:
        return tuple(attrgetter(column.replace(LOOKUP_SEP, "."))(row) for column in self.key)

    def text(self, key: Key) -> str:
        """A key as a link holds it; only the first column of a limit is known."""
        parts = (part.isoformat() if isinstance(part, datetime) else str(part) for part in key)
        return SEPARATOR.join((*parts, *[""] * (len(self.key) - len(key))))

    def parse(self, text: str) -> Key | None:
        """The key that a link holds; None where it is not one of this order."""
        parts = text.split(SEPARATOR, len(self.key) - 1)
        if not parts[0] or len(parts) != len(self.key) or "\0" in text:
            return None
        columns = (get_fields_from_path(self.rows.model, name)[-1] for name in self.key)
        try:
            known = zip(columns, filter(None, parts), strict=False)
            return tuple(_in_utc(column.to_python(part)) for column, part in known)
        except (ValidationError, ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after a key or, `back`, before it. Without a text: at the beginning or,
    `back`, at the end."""

    text: str = ""
    back: bool = False


@dataclass(frozen=True, slots=True)
class Page[M: Model]:
    """Rows, and the texts of the cursors of the neighbouring pages; "" where there is none.

    `partial`: the page read SCAN_LIMIT rows, and more may match beyond them.
    """

    rows: list[M]
    older: str = ""
    newer: str = ""
    partial: bool = False


def read_page[M: Model](scans: Scans[M], cursor: Cursor, size: int) -> Page[M]:
    """Up to `size` of the rows that each of `scans` finds by its own index."""
    scans, key = _positioned(scans, cursor)
    back = cursor.back and not (key is None and cursor.text)
    if back:
        scans = [replace(scan, ascending=not scan.ascending) for scan in scans]
    scan, limit = _chosen(scans, key)
    rows = scan.after(key)
    if limit is not None:
        rows = rows.filter(_beyond(scan.key, limit, f"{UP[not scan.ascending]}e"))
    found = list(rows.filter(scan.residual)[: size + 1])
    more, found = len(found) > size, found[:size]
    last = scan.key_of(found[-1]) if more else limit
    onward = scan.text(last) if last is not None else ""
    origin = scan.text(scan.key_of(found[0])) if found and key is not None else ""
    partial = limit is not None and not more
    if back:
        return Page(found[::-1], older=origin, newer=onward, partial=partial)
    return Page(found, older=onward, newer=origin, partial=partial)


def _positioned[M: Model](scans: Scans[M], cursor: Cursor) -> tuple[Scans[M], Key | None]:
    """The scans in whose order the cursor is, with its key; all of them where it is in none."""
    keys = {scan.key: key for scan in scans if (key := scan.parse(cursor.text))}
    if not keys:
        return scans, None
    columns = max(keys, key=len)  # a key of one text column may look like any
    return [scan for scan in scans if scan.key == columns], keys[columns]


def _chosen[M: Model](scans: Scans[M], key: Key | None) -> tuple[IndexScan[M], Key | None]:
    """The first scan with fewer than SCAN_LIMIT rows after `key`, without a limit; where each has
    more, the first one and its limit."""
    first = scans[0]
    if len(scans) == 1 and not first.residual and first.driving is None:  # shows all that it reads
        return first, None
    limits = {f"limit_{n}": scan.limit(key) for n, scan in enumerate(scans)}
    one_row = first.rows.model._base_manager.order_by().annotate(**limits)
    surveyed = one_row.values_list(*limits).first() or [None]
    if None in surveyed:
        return scans[surveyed.index(None)], None
    return first, (surveyed[0],)


def _beyond(columns: Sequence[str], key: Key, lookup: str) -> Q:
    """Rows whose key is `lookup` (lt, lte, gt, gte) this one, as far as it is known."""
    (column, *others), (value, *values) = columns, key
    if not values:
        return Q((f"{column}__{lookup}", value))
    strict = lookup[:2]
    beyond = Q((f"{column}__{strict}", value)) | _beyond(others, tuple(values), lookup)
    return Q((f"{column}__{strict}e", value)) & beyond  # no index answers the OR by itself


def _in_utc[T: str | int | datetime](value: T) -> T | datetime:
    if not isinstance(value, datetime):
        return value
    if not is_aware(value):
        raise ValueError(value)
    return value.astimezone(UTC)  # OverflowError at the edge of time


# --- counting -----------------------------------------------------------------------------------

COUNT: Final = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"


def with_counts[M: Model](rows: QuerySet[M], cap: int, **found: QuerySet[Model]) -> QuerySet[M]:
    """Each row with how many of `found` it has, by name, and with the `cap` of these counts: they
    end one above it."""
    counts = {
        name: Subquery(of.order_by().values("pk")[: cap + 1], IntegerField(), template=COUNT)
        for name, of in found.items()
    }
    return cast(QuerySet[M], rows.annotate(cap=Value(cap), **counts))


# --- filters ------------------------------------------------------------------------------------

TIME: Final = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})
NAME_END: Final = "\U0010ffff"  # after every character of a name: it is none itself


class Filters[M: Model](forms.Form):
    """The conditions that a list takes from its address: by itself none, the latest row first.

    `search` is the placeholder of the search field, which sends `q`; "" where there is none.
    """

    search: ClassVar[str] = ""

    q = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, parameters: Mapping[str, object]) -> None:
        super().__init__(parameters, auto_id="filter_%s", label_suffix="")

    def scans(self, rows: QuerySet[M]) -> Scans[M]:
        """The rows that pass, once for each index that can find them."""
        return [IndexScan(rows)]

    def conditions(self) -> dict[str, Any]:
        """The values by field; without those that are empty or malformed."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


def starts_with(column: str, beginning: str) -> Q:
    """A range: SQLite's LIKE ignores case, so it would read the whole index."""
    return Q((f"{column}__gte", beginning), (f"{column}__lt", beginning + NAME_END))


def of_channel(name: str) -> Q:
    """Costs a query for the id: behind a subquery, PostgreSQL does not know how many rows the
    channel has, and may sort them all (measured: 800 ms instead of 4 for half a million)."""
    return Q(channel_id=Channel.objects.filter(name=name).values_list("id", flat=True).first())


def live(prefix: str = "") -> Q:
    expires_at = f"{prefix}expires_at"
    return Q((f"{expires_at}__isnull", True)) | Q((f"{expires_at}__gt", Now()))


class ByChannelFilters[M: Model](Filters[M]):
    """A channel, or by `q` the beginning of channel names; then the rows are in the order of names.

    Subclasses give the order of rows within a channel and the condition of being listed at all;
    the `whole` list is in that order or has the latest first.
    """

    search = "How its channel's name begins"
    order: ClassVar[tuple[str, ...]]
    whole: ClassVar[tuple[str, ...]] = ("id",)
    listed: ClassVar[Q] = Q()

    channel = forms.CharField(required=False)

    def scans(self, rows: QuerySet[M]) -> Scans[M]:
        conditions = self.conditions()
        name, beginning = conditions.get("channel"), conditions.get("q")
        if name and not name.startswith(beginning or ""):
            return [IndexScan(rows.none())]
        if name:
            rows = rows.filter(of_channel(name))
            return [IndexScan(rows, self.order, self.listed, ascending=True)]
        if not beginning:
            return [IndexScan(rows, self.whole, self.listed, ascending=self.whole == self.order)]
        rows = rows.filter(starts_with("channel__name", beginning))
        key = ("channel__name", *self.order)
        channels = Channel.objects.filter(starts_with("name", beginning))
        return [IndexScan(rows, key, self.listed, ascending=True, driving=channels)]

"""What lists can be filtered by, and which index finds the rows.

A filter is a conjunction. One index answers some of its conditions; the others are tested on hidden
columns, so that no planner combines two indexes or takes the wrong one.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.db.models import BigIntegerField, F, Model, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from chat.models import Channel, Message
from chat.protocol import ids

from .paging import IndexScan, Scans

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
        """The rows that pass, once for each index that can find them (see `paging`)."""
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


# --- rows that channels hold --------------------------------------------------------------------


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


# --- messages -----------------------------------------------------------------------------------

EXPIRED: Final = "expired"
STATES: Final = (("", "All"), ("live", "Live"), (EXPIRED, "Expired"))

HIDDEN: Final = "hidden_"
HIDDEN_COLUMNS: Final = ("channel_id", "event", "uid", "id", "expires_at")

# An id begins with its time (protocol.md section 2), so the indexes that end with it answer the
# time range, too; the index of expiry does not.
RANGE: Final = frozenset({"since", "until"})
INDEXES: Final = (EXPIRED, "channel", "uid", "event")
LOOKUPS: Final = {
    "channel": "channel_id",
    "event": "event",
    "uid": "uid",
    "since": "id__gt",
    "until": "id__lte",
    EXPIRED: "expires_at__lte",
}


class TimeField(forms.DateTimeField):
    widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})


class MessageFilters(Filters[Message]):
    search = "A channel or a uid, in full"

    channel = forms.CharField(required=False)
    event = forms.CharField(required=False, strip=False)
    uid = forms.CharField(required=False, strip=False)
    state = forms.ChoiceField(required=False, choices=STATES)
    since = TimeField(required=False, label="From (UTC)")
    until = TimeField(required=False, label="Before (UTC)")

    def scans(self, rows: QuerySet[Message]) -> Scans[Message]:
        """A scan for each index that answers a condition; one over all where there is none.

        Costs a query where there is a channel or a search.
        """
        values = _lookup_values(self.conditions()) if self.is_valid() else None
        if values is None:
            return [IndexScan(rows.none())]
        rows = rows.alias(**{f"{HIDDEN}{column}": _hidden(column) for column in HIDDEN_COLUMNS})
        return [_scan(rows, values, index) for index in _usable(values)]


def _usable(conditions: Mapping[str, object]) -> list[str]:
    """The indexes that answer a condition. Where each has many rows, the first is scanned: among
    the latest ids of a channel or a user, none has expired for long unless the range ends before
    them."""
    usable = [index for index in INDEXES if index in conditions] or ["id"]
    if usable == [EXPIRED] and conditions.keys() & RANGE:
        usable.append("id")
    return sorted(usable, key=lambda index: index == EXPIRED) if "until" in conditions else usable


def _scan(rows: QuerySet[Message], values: Mapping[str, object], index: str) -> IndexScan[Message]:
    answered = {EXPIRED} if index == EXPIRED else {index, *RANGE}
    residual = Q()
    for name, value in values.items():
        if name in answered:
            rows = rows.filter((LOOKUPS[name], value))
        else:
            residual &= live(HIDDEN) if name == "live" else Q((f"{HIDDEN}{LOOKUPS[name]}", value))
    return IndexScan(rows, ("expires_at", "id") if index == EXPIRED else ("id",), residual)


def _lookup_values(conditions: Mapping[str, Any]) -> dict[str, object] | None:
    """What each condition compares its column with; None where no message can pass.

    A search is for a channel or, where there is no such channel, for a uid.
    """
    values = dict(conditions)
    names = {values[name] for name in ("channel", "q") if name in values}
    found = Channel.objects.filter(name__in=names).values_list("name", "id")
    channels = dict(found) if names else {}
    if search := values.pop("q", None):
        name = "channel" if search in channels else "uid"
        if values.setdefault(name, search) != search:
            return None
    if "channel" in values:
        if values["channel"] not in channels:
            return None
        values["channel"] = channels[values["channel"]]
    for name in RANGE & values.keys():  # of two ids with the same millisecond, both pass or none
        values[name] = ids.before_instant(values[name].timestamp())
    if state := values.pop("state", None):
        values[state] = Now()
    return values


def _hidden(column: str) -> Coalesce:
    """The same value, which no index holds; of a relation, its plain number."""
    plain = BigIntegerField() if column == "channel_id" else None
    return Coalesce(F(column), F(column), output_field=plain)

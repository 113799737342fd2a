"""What lists can be asked; of the messages, which index answers each part of a question.

A question is a conjunction. Any one part of it can be answered by an index; the others are then
asked on hidden columns, so that no planner follows two indexes at once or the wrong one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django import forms
from django.db.models import BigIntegerField, F, Field, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from chat.models import Channel, Message
from chat.protocol import ids

from .paging import Stream

HIDDEN: Final = "hidden_"
COLUMNS: Final = ("channel_id", "event", "uid", "id", "expires_at")

LAST: Final = "\U0010ffff"  # no name goes on with it: it is no character

Part = Callable[[str], Q]
"""One part of a question, on the column itself ("") or on the hidden one (HIDDEN)."""

EXPIRED: Final = "expired"
STATES: Final = (("", "All"), ("live", "Live"), (EXPIRED, "Expired"))

# Index -> the parts that it answers, and its order. The index of expiry knows no time; those of
# ids do, since an id begins with its time (protocol.md section 2).
INDEXES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    EXPIRED: ((EXPIRED,), ("expires_at", "id")),
    "channel": (("channel", "since", "until"), ("id",)),
    "uid": (("uid", "since", "until"), ("id",)),
    "event": (("event", "since", "until"), ("id",)),
    "time": (("since", "until"), ("id",)),
}


class Filters(forms.Form):
    """What a list can be asked: by itself nothing; it begins with the latest."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        super().__init__(asked, auto_id="filter_%s", label_suffix="")

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        """The question, once for each index that answers it (see `paging`)."""
        return [Stream(rows)]

    def asked(self) -> dict[str, Any]:
        """What is asked, by field; nothing that is empty or malformed."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


def begins(column: str, beginning: str) -> Q:
    """A range: SQLite's LIKE ignores case, so it would read the whole index."""
    return Q((f"{column}__gte", beginning), (f"{column}__lt", beginning + LAST))


class Moment(forms.DateTimeField):
    widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})


class MessageFilters(Filters):
    """What a moderator can ask; every field is part of the address of its answer."""

    q = forms.CharField(required=False, widget=forms.HiddenInput)
    channel = forms.CharField(required=False)
    event = forms.CharField(required=False, strip=False)
    uid = forms.CharField(required=False, strip=False)
    state = forms.ChoiceField(required=False, choices=STATES)
    since = Moment(required=False, label="From (UTC)")
    until = Moment(required=False, label="Before (UTC)")

    def streams(self, rows: QuerySet[Message]) -> Sequence[Stream]:
        return streams(rows, self.asked()) if self.is_valid() else [Stream(rows.none())]


def streams(messages: QuerySet[Message], asked: Mapping[str, Any]) -> list[Stream]:
    """As many streams as there are parts that an index answers; one over all where there is none.

    Costs a query where a channel or a search is asked for.
    """
    parts = _parts(messages, asked)
    if parts is None:
        return [Stream(messages.none())]
    messages = messages.alias(**{f"{HIDDEN}{name}": _hidden(name) for name in COLUMNS})
    return [_stream(messages, parts, *INDEXES[name]) for name in _usable(parts)]


def _usable(parts: Mapping[str, Part]) -> list[str]:
    """The indexes that answer a part. Where none is short, the first is walked: among the latest
    ids of a channel or a person none has expired for long, unless the question ends before them."""
    usable = [name for name in INDEXES if name in parts] or ["time"]
    if usable == [EXPIRED] and parts.keys() & {"since", "until"}:
        usable.append("time")
    return sorted(usable, key=lambda name: name == EXPIRED) if "until" in parts else usable


def _stream(
    messages: QuerySet[Message],
    parts: Mapping[str, Part],
    answered: tuple[str, ...],
    key: tuple[str, ...],
) -> Stream:
    rest = Q()
    for name, part in parts.items():
        if name in answered:
            messages = messages.filter(part(""))
        else:
            rest &= part(HIDDEN)
    return Stream(messages, key, rest)


def _parts(messages: QuerySet[Message], asked: Mapping[str, Any]) -> dict[str, Part] | None:
    """The parts of the question by their names; None where nothing can be an answer."""
    asked = dict(asked)
    wanted = {asked[name] for name in ("channel", "q") if name in asked}
    rows = Channel.objects.using(messages.db).filter(name__in=wanted)
    found = dict(rows.values_list("name", "id")) if wanted else {}
    if "q" in asked:  # a channel or, where there is no such channel, a uid
        sought = asked.pop("q")
        name = "channel" if sought in found else "uid"
        if asked.setdefault(name, sought) != sought:
            return None
    if "channel" in asked:
        if asked["channel"] not in found:
            return None
        asked["channel"] = found[asked["channel"]]
    state = asked.pop("state", None)
    parts = {name: PARTS[name](value) for name, value in asked.items()}
    if state:
        parts[state] = _expired if state == EXPIRED else live
    return parts


def _equal(column: str) -> Callable[[Any], Part]:
    return lambda value: lambda hidden: Q((f"{hidden}{column}", value))


def _made(lookup: str) -> Callable[[datetime], Part]:
    """Ids that begin with a time; of two with the same millisecond, both are in or out."""

    def part(moment: datetime) -> Part:
        last = ids.before_instant(moment.timestamp())
        return lambda hidden: Q((f"{hidden}id__{lookup}", last))

    return part


def _expired(hidden: str) -> Q:
    return Q((f"{hidden}expires_at__lte", Now()))


def live(hidden: str = "") -> Q:
    return Q((f"{hidden}expires_at__isnull", True)) | Q((f"{hidden}expires_at__gt", Now()))


PARTS: Final[Mapping[str, Callable[[Any], Part]]] = {
    "channel": _equal("channel_id"),
    "event": _equal("event"),
    "uid": _equal("uid"),
    "since": _made("gt"),
    "until": _made("lte"),
}


def _hidden(column: str) -> Coalesce:
    """The same value, which no index holds; of a relation, its plain number."""
    field: Field[Any, Any] = Message._meta.get_field(column)  # type: ignore[assignment]
    plain = BigIntegerField() if field.is_relation else field
    return Coalesce(F(column), F(column), output_field=plain)

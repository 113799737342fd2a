"""Messages, found by channel, event, uid, state and time; read, deleted, exported. Reactions."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE
from django.contrib.messages import SUCCESS
from django.core.exceptions import PermissionDenied
from django.db.models import BigIntegerField, Count, F, Min, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from msgspec import Raw, json

from chat import api
from chat.models import Channel, Message, Reaction
from chat.protocol import ids
from chat.store import search
from chat.store.databases import connection
from chat.store.reads import read

from . import bulk, render
from .base import ChannelRow, ChannelRowAdmin, Column, ContentAdmin, actor_of, now, row_action
from .paging import (
    SCAN_LIMIT,
    TIME,
    Cursor,
    Filters,
    IndexScan,
    Key,
    Scans,
    live,
    of_channel,
    read_page,
)

KINDS: Final = 5  # reactions of one message that a list names
REACTIONS: Final = 200  # that a message's page lists
CHUNK: Final = 200  # messages that an export reads at once: 6.4 MB where each has its 32 KiB

COLUMNS: Final = ("time", "id", "channel", "event", "uid", "data", "umd", "expires_at", "reactions")
# Spreadsheets run a cell that begins so as a formula (OWASP, "CSV Injection"); in some languages
# the wide forms, too. Which separator they split cells at is for their user to choose.
FORMULA: Final = re.compile(
    r"""(?:\A|(?<=[,;|\t\r\n]))(?:[^\S\t\r\n]|["'])*+(?=[=+\-@＝＋－＠])|\A(?=[\t\r\n])"""  # noqa: RUF001
)

STATES: Final = (("", "All"), ("live", "Live"), ("hidden", "Hidden"), ("expired", "Expired"))

COVER: Final = "covered_"
COVERED: Final = ("channel_id", "event", "uid", "id", "expires_at", "hidden_at")

# An id begins with its time (protocol.md section 2), so the indexes that end with it answer the
# time range, too; those of expiry and of hiding do not.
RANGE: Final = frozenset({"since", "until"})
BY_TIME: Final = {"expired": "expires_at", "hidden": "hidden_at"}
INDEXES: Final = (*BY_TIME, "channel", "uid", "event")
LOOKUPS: Final = {
    "channel": "channel_id",
    "event": "event",
    "uid": "uid",
    "since": "id__gt",
    "until": "id__lte",
    "expired": "expires_at__lte",
    "hidden": "hidden_at__lte",
}


SHOWN: Final = live(COVER) & Q((f"{COVER}hidden_at", None))


class MessageFilters(Filters[Message]):
    """A conjunction. One index answers some of its conditions; the others are tested on covered
    columns, so that no planner combines two indexes or takes the wrong one."""

    search = "A channel or a uid, in full"

    channel = forms.CharField(required=False)
    event = forms.CharField(required=False, strip=False)
    uid = forms.CharField(required=False, strip=False)
    state = forms.ChoiceField(required=False, choices=STATES)
    since = forms.DateTimeField(required=False, label="From (UTC)", widget=TIME)
    until = forms.DateTimeField(required=False, label="Before (UTC)", widget=TIME)
    text = forms.CharField(required=False, label="All of these words")

    def __init__(self, parameters: Mapping[str, object]) -> None:
        super().__init__(parameters)
        if not search.is_offered():
            del self.fields["text"]

    def scans(self, rows: QuerySet[Message]) -> Scans[Message]:
        """A scan for each index that answers a condition; one over all where there is none.

        Costs a query where there is a channel or a search.
        """
        values = _lookup_values(self.conditions()) if self.is_valid() else None
        if values is None:
            return [IndexScan(rows.none())]
        text = str(values.pop("text", ""))
        rows = rows.alias(**{f"{COVER}{column}": _covered(column) for column in COVERED})
        if text:
            return [_text_scan(rows, values, text)]
        return [_scan(rows, values, index) for index in _usable(values)]


def _usable(conditions: Mapping[str, object]) -> list[str]:
    """The indexes that answer a condition. Where each has many rows, the first is scanned: among
    the latest ids of a channel or a user, none has expired for long unless the range ends before
    them."""
    usable = [index for index in INDEXES if index in conditions] or ["id"]
    if BY_TIME.keys() >= {*usable} and conditions.keys() & RANGE:
        usable.append("id")
    return sorted(usable, key=BY_TIME.__contains__) if "until" in conditions else usable


def _scan(rows: QuerySet[Message], values: Mapping[str, object], index: str) -> IndexScan[Message]:
    answered = {index} if index in BY_TIME else {index, *RANGE}
    residual = Q()
    for name, value in values.items():
        if name in answered:
            rows = rows.filter((LOOKUPS[name], value))
        else:
            residual &= SHOWN if name == "live" else Q((f"{COVER}{LOOKUPS[name]}", value))
    return IndexScan(rows, (BY_TIME[index], "id") if index in BY_TIME else ("id",), residual)


@dataclass(frozen=True, slots=True)
class TextScan(IndexScan[Message]):
    """Reads SCAN_LIMIT of the messages with these words, on SQLite: it has no index of both words
    and ids."""

    words: str = ""

    def after(self, key: Key | None) -> QuerySet[Message]:
        return self._found(IndexScan.after(self, key), key)

    def limit(self, key: Key | None) -> Subquery:
        found = self._found(self.rows, key).order_by("id" if self.ascending else "-id")
        return Subquery(found.values("id")[SCAN_LIMIT - 1 : SCAN_LIMIT])

    def _found(self, rows: QuerySet[Message], key: Key | None) -> QuerySet[Message]:
        beyond = str(key[0]) if key else None
        ids = search.ids_having(self.words, SCAN_LIMIT, beyond=beyond, ascending=self.ascending)
        return rows.filter(id__in=ids)


def _text_scan(
    rows: QuerySet[Message], values: Mapping[str, object], text: str
) -> IndexScan[Message]:
    if connection.vendor == "postgresql":
        return _scan(search.having(rows, text), values, "text")
    scan = _scan(rows, values, "text")
    return TextScan(scan.rows, scan.key, scan.residual, words=text)


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


def _covered(column: str) -> Coalesce:
    """The same value, which no index holds; of a relation, its plain number."""
    plain = BigIntegerField() if column == "channel_id" else None
    return Coalesce(F(column), F(column), output_field=plain)


def _expiry(row: Message) -> str:
    left = render.remaining(row.expires_at, now(row))
    return f"hidden; {left}" if row.hidden_at else left


ERASES: Final = [
    f"chat.delete_{name}" for name in ("message", "storageentry", "connection", "schedule")
]


# --- the list -----------------------------------------------------------------------------------


class HasCounts(Protocol):
    """A message of a list, with its reactions and how many there are."""

    id: str
    counts: Sequence[tuple[str, int]]


@admin.register(Message)
class MessageAdmin(ContentAdmin[Message]):
    filters = MessageFilters
    list_display = ("time", "channel_name", "event_name", "sender", "excerpt", "reacted", "expiry")
    search_help_text = (
        "The whole name of a channel or, where there is no such channel, a whole uid."
        " To find a channel by how its name begins, search the channels."
    )
    fields = (
        *("time", "id", "channel_page", "event", "sender", "holdings", "metadata"),
        *("expiry_time", "sight", "content", "reactions"),
    )
    change_list_template = "admin/chat/message/change_list.html"
    actions = ("hide_selected", "show_selected")
    action_permission = "chat.delete_message"

    def get_urls(self) -> list[URLPattern]:
        exporting = self.admin_site.admin_view(self.export_view)
        deleting = self.admin_site.admin_view(self.delete_many_view)
        erasing = self.admin_site.admin_view(self.erase_view)
        return [
            path("export.<str:suffix>", exporting, name="chat_message_export"),
            path("delete", deleting, name="chat_message_delete_many"),
            path("erase", erasing, name="chat_message_erase"),
            *super().get_urls(),
        ]

    def delete_many_view(self, request: HttpRequest) -> HttpResponseBase:
        """A look at all messages of somebody or of a channel, and their deletion."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": "Delete many messages"}
        if request.method == "POST":
            return bulk.delete(request, context, actor_of(request))
        return bulk.look(request, context, self.line)

    def erase_view(self, request: HttpRequest) -> HttpResponseBase:
        """A look at all that is stored of a person, and its erasure."""
        if not request.user.has_perms(ERASES):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": "Erase a person"}
        if request.method == "POST":
            return bulk.erase(request, context, actor_of(request))
        return bulk.look_at_person(request, context)

    def export_view(self, request: HttpRequest, suffix: str) -> HttpResponseBase:
        """A streamed file of the messages that pass the filters, the oldest first.

        Holds one chunk in memory, however long the history: each is read by key when the one
        before has been sent. Reads in the reader's threads, like every read of the server.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        if suffix not in FORMATS:
            raise Http404
        filters = MessageFilters(request.GET)
        if not filters.is_valid() or request.GET.keys() - filters.fields.keys():
            return HttpResponseBadRequest("The address asks for something that is not known here.")
        content_type, head, encode = FORMATS[suffix]
        file = _file(head, encode, filters.scans(self.get_queryset(request)))
        response = StreamingHttpResponse(file, content_type=content_type)
        name = f"messages-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{suffix}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        may = {
            "may_delete_many": self.has_delete_permission(request),
            "may_erase": request.user.has_perms(ERASES),
        }
        return super().changelist_view(request, {**may, **(extra_context or {})})

    def complete(self, rows: Sequence[Message]) -> None:
        counts = reaction_counts([row.id for row in rows])
        for row in cast(Sequence[HasCounts], rows):
            row.counts = counts.get(row.id, ())

    # --- columns ----------------------------------------------------------------------------

    time = Column[Message]("time (UTC)", lambda row: render.timestamp(render.time_of(row.id)))
    event_name = Column[Message](
        "event", lambda row: render.list_link(row.event, "message", event=row.event)
    )

    expiry = Column[Message]("expires", _expiry)

    @admin.display(description="seen by")
    def sight(self, row: Message) -> str:
        if row.hidden_at is None:
            return "whoever may read it"
        return format_html("moderators, since {}", render.timestamp(row.hidden_at))

    @admin.display(description="reactions")
    def reacted(self, row: HasCounts) -> str:
        shown = " · ".join(f"{reaction} {count}" for reaction, count in row.counts[:KINDS])
        return format_html("<bdi>{}{}</bdi>", shown, " …" if len(row.counts) > KINDS else "")

    def reactions(self, row: Message) -> str:
        found = row.reactions.order_by("number")[: REACTIONS + 1]
        more = render.list_link("All reactions", "reaction", message=row.id)
        heads = ("Reaction", "Uid", "Metadata", "Time (UTC)")
        return render.table(heads, [_cells(reaction) for reaction in found], REACTIONS, more)

    # --- deleting ---------------------------------------------------------------------------

    def line(self, row: Message) -> str:
        """A message in a list without columns."""
        return f"{self.describe(row)}: {render.one_line(row.data)}"

    def describe(self, row: Message) -> str:
        sender = render.sender_name(row.uid, row.by_server)
        time = f"{render.time_of(row.id):%Y-%m-%d %H:%M:%S}"
        return f"{time} {row.event} by {sender} in {row.channel.name}"

    def get_deleted_objects(
        self, objs: Sequence[Message] | QuerySet[Message], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        deleted = super().get_deleted_objects(objs, request)
        reactions = Reaction.objects.standing().filter(message_id__in=[row.id for row in objs])
        deleted[1]["reactions"] = reactions.count()
        return deleted

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[Message]) -> None:
        """Deletes messages as the server API does (protocol.md section 19), which notifies who
        subscribes. Of those that have expired only the rows are left."""
        rows = list(queryset)
        expired = [row for row in rows if row.expires_at and row.expires_at <= now(row)]
        if expired:
            Message.objects.filter(id__in=[row.id for row in expired]).delete()
            self._record(request, "delete message", expired)
        live = [(row.channel.name, row.id) for row in rows if row not in expired]
        api.remove_messages(live, actor_of(request))

    # --- hiding -----------------------------------------------------------------------------

    @row_action("Hide {}")
    def hide_selected(self, request: HttpRequest, rows: QuerySet[Message]) -> None:
        seen = list(rows.filter(live(), hidden_at=None))
        hidden = [(row.channel.name, row.id) for row in seen]
        api.remove_messages(hidden, actor_of(request), hides=True)
        self.log(request, seen, CHANGE, "Hidden.")
        said = f"{self.counted(seen)}: only moderators will see it from now on."
        self.message_user(request, said, SUCCESS)

    @row_action("Show {} again")
    def show_selected(self, request: HttpRequest, rows: QuerySet[Message]) -> None:
        hidden = list(rows.filter(live(), hidden_at__isnull=False))
        for row in sorted(hidden, key=lambda row: row.channel.name):  # as the writer locks
            api.show_message(row.channel.name, row.id, actor_of(request))
        self.log(request, hidden, CHANGE, "Shown again.")
        said = f"{self.counted(hidden)}: back in history."
        self.message_user(request, said, SUCCESS)


def reaction_counts(ids: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Each message's reactions that stand and how many there are, the oldest first."""
    standing = Reaction.objects.standing().filter(message_id__in=ids)
    grouped = standing.order_by().values_list("message_id", "reaction")
    counted = grouped.annotate(count=Count("id"), first=Min("number")).order_by("first")
    counts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for id, reaction, count, _ in counted:
        counts[id].append((reaction, count))
    return counts


def _cells(row: Reaction) -> tuple[str, ...]:
    taken_back = " (taken back)" if row.removed else ""
    time = format_html("{}{}", render.timestamp(row.created_at), taken_back)
    return row.reaction, row.uid, row.umd, time


# --- export -------------------------------------------------------------------------------------


type Encode = Callable[[Message, Iterable[Reaction]], bytes]


async def _file(head: bytes, encode: Encode, scans: Scans[Message]) -> AsyncIterator[bytes]:
    yield head
    cursor = Cursor(back=True)  # from the end, which is the oldest
    while True:
        chunk, onward = await read(_chunk, encode, scans, cursor)
        yield chunk
        if not onward:
            return
        cursor = Cursor(onward, back=True)


def _chunk(encode: Encode, scans: Scans[Message], cursor: Cursor) -> tuple[bytes, str]:
    """The next messages, encoded, and the cursor after them, "" at the end."""
    page = read_page(scans, cursor, CHUNK)
    standing = Reaction.objects.standing().filter(message_id__in=[row.id for row in page.rows])
    reactions: dict[str, list[Reaction]] = defaultdict(list)
    for reaction in standing.order_by("number"):
        reactions[reaction.message_id].append(reaction)
    encoded = (encode(row, reactions[row.id]) for row in reversed(page.rows))
    return b"".join(encoded), page.newer


def _line(message: Message, reactions: Iterable[Reaction]) -> bytes:
    """A message as clients get it (protocol.md section 8), with what else the server knows."""
    meta = {} if message.by_server else {"meta": {"uid": message.uid, "umd": _raw(message.umd)}}
    fields = {
        "id": message.id,
        "event": message.event,
        "channel": message.channel.name,
        "data": _raw(message.data),
        **meta,
        "createdAt": render.time_of(message.id),
        "expiresAt": message.expires_at,
        "reactions": _reaction_objects(reactions),
    }
    return json.encode(fields) + b"\n"


def _reaction_objects(reactions: Iterable[Reaction]) -> list[dict[str, object]]:
    return [
        {
            "reaction": row.reaction,
            "uid": row.uid,
            "umd": _raw(row.umd),
            "createdAt": row.created_at,
        }
        for row in reactions
    ]


def _raw(text: str) -> Raw:
    """JSON text as it is, on one line: a line break between tokens is white space, and strings
    have none."""
    return Raw(text.replace("\n", " ").replace("\r", " ").encode())


def _row(message: Message, reactions: Iterable[Reaction]) -> bytes:
    return _csv(
        render.time_of(message.id).isoformat(),
        message.id,
        message.channel.name,
        message.event,
        message.uid or "",
        message.data,
        message.umd,
        message.expires_at.isoformat() if message.expires_at else "",
        json.encode(_reaction_objects(reactions)).decode(),
    )


def _csv(*cells: str) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(map(harmless, cells))
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs, nor a part of it: an apostrophe before it makes it text."""
    return FORMULA.sub(r"\g<0>'", cell)


# Spreadsheets recognise UTF-8 by the byte order mark.
FORMATS: Final[dict[str, tuple[str, bytes, Encode]]] = {
    "jsonl": ("application/x-ndjson", b"", _line),
    "csv": ("text/csv; charset=utf-8", b"\xef\xbb\xbf" + _csv(*COLUMNS), _row),
}


# --- reactions ----------------------------------------------------------------------------------


class ReactionFilters(Filters[Reaction]):
    message = forms.CharField(required=False, label="Message id")
    channel = forms.CharField(required=False)

    def scans(self, rows: QuerySet[Reaction]) -> Scans[Reaction]:
        """By message or by channel: these two have an index. Within a message all are read."""
        conditions = self.conditions()
        if message := conditions.get("message"):
            rows = rows.filter(message_id=message)
        if channel := conditions.get("channel"):
            return [IndexScan(rows.filter(of_channel(channel)), ("number", "id"))]
        return [IndexScan(rows)]


@admin.register(Reaction)
class ReactionAdmin(ChannelRowAdmin[Reaction]):
    filters = ReactionFilters
    list_display = ("reaction", "user", "message_page", "channel_name", "state", "time")
    fields = ("reaction", "user", "metadata", *list_display[2:], "number")

    state = Column[Reaction]("state", lambda row: "taken back" if row.removed else "stands")
    time = Column[Reaction]("time (UTC)", lambda row: render.timestamp(row.created_at))
    message_page = Column[Reaction](
        "message", lambda row: render.page_link(row.message_id, "message", row.message_id)
    )

    @admin.display(description="channel")
    def channel_name(self, row: ChannelRow) -> str:
        return render.list_link(row.channel.name, "message", channel=row.channel.name)

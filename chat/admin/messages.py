"""What was said: found by channel, event, uid, state and time; read, deleted, exported."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.models import DELETION
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.models import Message, Reaction

from . import deletion, words
from .changelist import Deletable
from .export import export
from .filters import MessageFilters
from .log import log

KINDS: Final = 5  # reactions of one message that a list names
REACTIONS: Final = 200  # that a message's page lists


@admin.register(Message)
class MessageAdmin(Deletable):
    filters = MessageFilters
    list_display = ("time", "channel_name", "event_name", "sender", "excerpt", "reacted", "expiry")
    search_fields = ("channel", "uid")
    search_placeholder = "A channel or a uid, in full"
    search_help_text = (
        "The whole name of a channel or, where there is no such channel, a whole uid."
        " To find a channel by how its name begins, search the channels."
    )
    fields = (
        *("time", "id", "channel_page", "event", "sender", "metadata", "expiry_time"),
        *("content", "reactions"),
    )
    change_list_template = "admin/chat/message/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        exporting = self.admin_site.admin_view(self.export_view)
        return [
            path("export.<str:suffix>", exporting, name="chat_message_export"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).select_related("channel")

    # --- the list ---------------------------------------------------------------------------

    def listed(self, rows: QuerySet[Message]) -> QuerySet[Message]:
        return rows.defer("data", "umd").annotate(begin=Left("data", words.READ))

    def complete(self, rows: Sequence[Message]) -> None:
        counts = reaction_counts([row.id for row in rows])
        for row in rows:
            row.counts = counts.get(row.id, ())  # type: ignore[attr-defined]

    @admin.display(description="time (UTC)")
    def time(self, row: Message) -> SafeString:
        return words.moment(words.moment_of(row.id))

    @admin.display(description="channel")
    def channel_name(self, row: Message) -> SafeString:
        return words.listing(row.channel.name, "message", {"channel": row.channel.name})

    @admin.display(description="event")
    def event_name(self, row: Message) -> SafeString:
        return words.listing(row.event, "message", {"event": row.event})

    @admin.display(description="uid")
    def sender(self, row: Message) -> str | SafeString:
        return words.sender(row.uid, by_server=row.by_server)

    @admin.display(description="data")
    def excerpt(self, row: Message) -> SafeString:
        return words.excerpt(row.begin)  # type: ignore[attr-defined]

    @admin.display(description="reactions")
    def reacted(self, row: Message) -> SafeString:
        counts: Sequence[tuple[str, int]] = row.counts  # type: ignore[attr-defined]
        shown = " · ".join(f"{reaction} {count}" for reaction, count in counts[:KINDS])
        return format_html("<bdi>{}{}</bdi>", shown, " …" if len(counts) > KINDS else "")

    @admin.display(description="expires")
    def expiry(self, row: Message) -> str:
        return words.remaining(row.expires_at)

    # --- the page of one message ------------------------------------------------------------

    @admin.display(description="channel")
    def channel_page(self, row: Message) -> SafeString:
        return words.link(row.channel.name, "channel", row.channel_id)

    @admin.display(description="metadata (umd)")
    def metadata(self, row: Message) -> SafeString:
        return words.json(row.umd)

    @admin.display(description="expires")
    def expiry_time(self, row: Message) -> str | SafeString:
        return words.expiry(row.expires_at)

    @admin.display(description="data")
    def content(self, row: Message) -> SafeString:
        return words.json(row.data)

    @admin.display(description="reactions")
    def reactions(self, row: Message) -> SafeString:
        found = list(row.reactions.order_by("number")[: REACTIONS + 1])
        more = words.listing("All reactions", "reaction", {"message": row.id})
        return words.table(
            ("Reaction", "Uid", "Metadata", "Time (UTC)"),
            map(_reaction, found[:REACTIONS]),
            more if len(found) > REACTIONS else "",
        )

    # --- deleting and exporting -------------------------------------------------------------

    def get_deleted_objects(self, objs: Iterable[Message], request: HttpRequest) -> Any:
        return deletion.summary(objs), deletion.counts(objs), set(), []

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Message]) -> Any:
        return log(request, queryset, DELETION, deletion.describe)

    def delete_model(self, request: HttpRequest, obj: Message) -> None:
        deletion.delete([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        deletion.delete(queryset)

    def export_view(self, request: HttpRequest, suffix: str) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return export(request, self.get_queryset(request), suffix)


def reaction_counts(ids: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Each message's standing reactions and how many there are, the first given first."""
    standing = Reaction.objects.standing().filter(message_id__in=ids)
    grouped = standing.order_by().values_list("message_id", "reaction")
    counted = grouped.annotate(count=Count("id"), first=Min("number")).order_by("first")
    counts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for id, reaction, count, _ in counted:
        counts[id].append((reaction, count))
    return counts


def _reaction(row: Reaction) -> tuple[object, ...]:
    """A line for whoever reads the message; one taken back is kept until the message goes."""
    taken_back = " (taken back)" if row.removed else ""
    time = format_html("{}{}", words.moment(row.created_at), taken_back)
    return row.reaction, row.uid, row.umd, time

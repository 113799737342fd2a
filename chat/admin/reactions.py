"""Who reacted to what with what, and when."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from chat.models import Channel, Reaction

from . import words
from .changelist import ReadOnly
from .filters import Filters
from .paging import Stream


class ReactionFilters(Filters):
    message = forms.CharField(required=False, label="Message id")
    channel = forms.CharField(required=False)

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        """By message or by channel: these two have an index. Within a message all are read."""
        asked = self.asked()
        if "message" in asked:
            rows = rows.filter(message_id=asked["message"])
        if "channel" not in asked:
            return [Stream(rows)]
        channel = Channel.objects.filter(name=asked["channel"]).values_list("id", flat=True).first()
        return [Stream(rows.filter(channel_id=channel), ("number", "id"))]


@admin.register(Reaction)
class ReactionAdmin(ReadOnly):
    filters = ReactionFilters
    list_display = ("value", "person", "to", "channel_name", "state", "time")
    fields = ("value", "person", "metadata", "to", "channel_name", "state", "time", "number")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reaction]:
        return super().get_queryset(request).select_related("channel")

    @admin.display(description="reaction")
    def value(self, row: Reaction) -> str:
        return row.reaction

    @admin.display(description="uid")
    def person(self, row: Reaction) -> SafeString:
        return words.listing(row.uid, "message", {"uid": row.uid})

    @admin.display(description="message")
    def to(self, row: Reaction) -> SafeString:
        return words.link(row.message_id, "message", row.message_id)

    @admin.display(description="channel")
    def channel_name(self, row: Reaction) -> SafeString:
        return words.listing(row.channel.name, "message", {"channel": row.channel.name})

    @admin.display(description="metadata (umd)")
    def metadata(self, row: Reaction) -> SafeString:
        return words.json(row.umd)

    @admin.display(description="state")
    def state(self, row: Reaction) -> str:
        return "taken back" if row.removed else "stands"

    @admin.display(description="time (UTC)")
    def time(self, row: Reaction) -> SafeString:
        return words.moment(row.created_at)

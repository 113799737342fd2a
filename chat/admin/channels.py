"""Where it was said: each channel with its last message, how many it holds, who listens."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.safestring import SafeString

from chat.models import Channel, Message, Subscription

from . import words
from .changelist import ReadOnly
from .counting import CAP, LISTED, counted
from .filters import Filters, begins
from .paging import Stream


class ChannelFilters(Filters):
    q = forms.CharField(required=False, widget=forms.HiddenInput)

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        """By name."""
        beginning = self.asked().get("q", "")
        if beginning:
            rows = rows.filter(begins("name", beginning))
        return [Stream(rows, ("name",), ascending=True)]


@admin.register(Channel)
class ChannelAdmin(ReadOnly):
    filters = ChannelFilters
    list_display = ("name", "last_message", "messages", "live_subscriptions", "history")
    search_fields = ("name",)
    search_placeholder = "How its name begins"
    fields = (
        *("name", "last_message", "messages", "live_subscriptions", "history", "storage"),
        *("members", "schedules", "number"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        return _counted(super().get_queryset(request), CAP)

    def listed(self, rows: QuerySet[Channel]) -> QuerySet[Channel]:
        return _counted(rows, LISTED)

    @admin.display(description="last message (UTC)")
    def last_message(self, row: Channel) -> str | SafeString:
        last = row.last_message_id
        return words.moment(words.moment_of(last)) if last else words.NOTHING

    @admin.display(description="messages")
    def messages(self, row: Any) -> str:
        return words.capped(row.held, row.cap)

    @admin.display(description="live subscriptions")
    def live_subscriptions(self, row: Any) -> str | SafeString:
        count = words.capped(row.heard, row.cap)
        return words.listing(count, "subscription", {"channel": row.name}) if row.heard else count

    @admin.display(description="history")
    def history(self, row: Channel) -> SafeString:
        return words.listing("Messages", "message", {"channel": row.name})

    @admin.display(description="storage")
    def storage(self, row: Channel) -> SafeString:
        return words.listing("What it keeps", "storageentry", {"channel": row.name})

    @admin.display(description="members")
    def members(self, row: Channel) -> SafeString:
        return words.listing("Who is in", "member", {"channel": row.name})

    @admin.display(description="schedules")
    def schedules(self, row: Channel) -> SafeString:
        return words.listing("What is due", "schedule", {"channel": row.name})


def _counted(rows: QuerySet[Channel], cap: int) -> QuerySet[Channel]:
    """With how many messages are not yet purged, and how many subscriptions are live."""
    live = {"connection__expires_at__gt": Now(), "connection__revoked": False}
    of_channel = {"channel_id": OuterRef("pk")}
    return counted(
        rows,
        cap,
        held=Message.objects.filter(**of_channel),
        heard=Subscription.objects.filter(**of_channel, **live),
    )

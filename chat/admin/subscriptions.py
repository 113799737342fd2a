"""Who listens to what: reached from a channel or a connection."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from chat.models import Subscription

from . import words
from .changelist import ReadOnly
from .filters import Filters
from .paging import Stream


class SubscriptionFilters(Filters):
    channel = forms.CharField(required=False)
    connection = forms.CharField(required=False, label="Connection id")

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        asked = self.asked()
        if "channel" in asked:
            rows = rows.filter(channel__name=asked["channel"])
        if "connection" in asked:
            rows = rows.filter(connection_id=asked["connection"])
        return [Stream(rows)]


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly):
    filters = SubscriptionFilters
    list_display = ("since", "channel_name", "connection_page", "person")
    fields = ("channel_name", "connection_page", "person", "since", "may")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        rows = super().get_queryset(request).select_related("channel", "connection")
        return rows.only("channel__name", "connection__uid", "subscribed_at", "claims")

    @admin.display(description="since (UTC)")
    def since(self, row: Subscription) -> SafeString:
        return words.moment(row.subscribed_at)

    @admin.display(description="channel")
    def channel_name(self, row: Subscription) -> SafeString:
        return words.link(row.channel.name, "channel", row.channel_id)

    @admin.display(description="connection")
    def connection_page(self, row: Subscription) -> SafeString:
        return words.link(row.connection_id, "connection", row.connection_id)

    @admin.display(description="uid of the connection")
    def person(self, row: Subscription) -> str:
        return row.connection.uid or words.NOTHING

    @admin.display(description="its own token says")
    def may(self, row: Subscription) -> str | SafeString:
        return words.explained(row.claims, "subscribe")

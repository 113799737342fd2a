"""Who is in the presence channels at this moment."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from chat.models import Member

from . import words
from .by_channel import ByChannel
from .changelist import ReadOnly


class MemberFilters(ByChannel):
    within = ("uid",)

    def shown(self) -> Q:
        """One who has left is kept for a while as a mark."""
        return Q(removed=False)


@admin.register(Member)
class MemberAdmin(ReadOnly):
    filters = MemberFilters
    list_display = ("name", "channel_name", "excerpt", "changed")
    search_fields = ("channel",)
    search_placeholder = "How its channel's name begins"
    fields = ("person", "channel_page", "state", "metadata", "changed", "joined", "number")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Member]:
        return super().get_queryset(request).select_related("channel")

    @admin.display(description="uid")
    def name(self, row: Member) -> str:
        return row.uid

    @admin.display(description="uid")
    def person(self, row: Member) -> str | SafeString:
        return words.sender(row.uid, by_server=False)

    @admin.display(description="channel")
    def channel_name(self, row: Member) -> SafeString:
        return words.listing(row.channel.name, "member", {"channel": row.channel.name})

    @admin.display(description="channel")
    def channel_page(self, row: Member) -> SafeString:
        return words.link(row.channel.name, "channel", row.channel_id)

    @admin.display(description="state")
    def state(self, row: Member) -> str:
        return "has left" if row.removed else "present"

    @admin.display(description="metadata (umd)")
    def excerpt(self, row: Member) -> SafeString:
        return words.excerpt(row.umd)

    @admin.display(description="metadata (umd)")
    def metadata(self, row: Member) -> SafeString:
        return words.json(row.umd)

    @admin.display(description="last change (UTC)")
    def changed(self, row: Member) -> SafeString:
        return words.moment(row.changed_at)

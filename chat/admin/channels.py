"""Channels, the members of presence channels, and the storage entries of channels."""

from collections.abc import Iterable
from typing import Final, Protocol

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from chat import api
from chat.models import Channel, Member, Message, StorageEntry, Subscription

from . import render
from .base import ChannelRowAdmin, Column, ContentAdmin, HasBeginning, ReadOnlyAdmin
from .paging import ByChannelFilters, Filters, IndexScan, Scans, live, starts_with, with_counts

LIST_CAP: Final = 1_000  # a page of a list has a hundred such counts
PAGE_CAP: Final = 10_000


class CountedChannel(Protocol):
    name: str
    stored: int
    subscribed: int
    cap: int


def _list_link(label: str, text: str, model: str) -> Column[Channel]:
    """A column that links to what a channel holds."""
    return Column(label, lambda row: render.list_link(text, model, channel=row.name))


class ChannelFilters(Filters[Channel]):
    search = "How its name begins"

    def scans(self, rows: QuerySet[Channel]) -> Scans[Channel]:
        if beginning := self.conditions().get("q"):
            rows = rows.filter(starts_with("name", beginning))
        return [IndexScan(rows, ("name",), ascending=True)]


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin[Channel]):
    filters = ChannelFilters
    list_display = ("name", "last_message", "messages", "live_subscriptions", "history")
    fields = (*list_display, "storage", "members", "schedules", "number")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        return _with_counts(super().get_queryset(request), PAGE_CAP)

    def columns_of(self, rows: QuerySet[Channel]) -> QuerySet[Channel]:
        return _with_counts(rows, LIST_CAP)

    messages = Column[CountedChannel]("messages", lambda row: render.capped(row.stored, row.cap))
    history = _list_link("history", "Messages", "message")
    storage = _list_link("storage", "What it keeps", "storageentry")
    members = _list_link("members", "Who is in", "member")
    schedules = _list_link("schedules", "What is due", "schedule")

    @admin.display(description="last message (UTC)")
    def last_message(self, row: Channel) -> str:
        last = row.last_message_id
        return render.timestamp(render.time_of(last)) if last else render.EMPTY

    def live_subscriptions(self, row: CountedChannel) -> str:
        count = render.capped(row.subscribed, row.cap)
        if not row.subscribed:
            return count
        return render.list_link(count, "subscription", channel=row.name)


def _with_counts(rows: QuerySet[Channel], cap: int) -> QuerySet[Channel]:
    """With the messages that are not yet purged and the live subscriptions."""
    own = Q(channel_id=OuterRef("pk"))
    open_connection = Q(connection__expires_at__gt=Now(), connection__revoked=False)
    subscribed = Subscription.objects.filter(own & open_connection)
    return with_counts(rows, cap, stored=Message.objects.filter(own), subscribed=subscribed)


# --- members ------------------------------------------------------------------------------------


class MemberFilters(ByChannelFilters[Member]):
    order = ("uid",)
    listed = Q(removed=False)  # a member who left stays as a mark for a while


@admin.register(Member)
class MemberAdmin(ChannelRowAdmin[Member]):
    filters = MemberFilters
    list_display = ("uid", "channel_name", "excerpt", "changed")
    fields = ("user", "channel_page", "state", "metadata", "changed", "joined", "number")

    state = Column[Member]("state", lambda row: "has left" if row.removed else "present")
    excerpt = Column[Member]("metadata (umd)", lambda row: render.excerpt(row.umd))
    changed = Column[Member]("last change (UTC)", lambda row: render.timestamp(row.changed_at))


# --- storage entries ----------------------------------------------------------------------------


class StorageFilters(ByChannelFilters[StorageEntry]):
    order = ("key",)
    listed = live() & ~Q(data="")  # a cleared entry stays as a mark for a while, without its value


@admin.register(StorageEntry)
class StorageEntryAdmin(ContentAdmin[StorageEntry]):
    filters = StorageFilters
    list_display = ("key", "channel_name", "writer", "excerpt", "expiry")
    fields = ("key", "channel_page", "writer", "metadata", "expiry_time", "content", "number")

    writer = Column[StorageEntry]("written by", lambda row: render.sender(row.uid, row.by_server))
    excerpt = Column[HasBeginning]("value", lambda row: render.excerpt(row.beginning))
    content = Column[StorageEntry]("value", lambda row: render.json(row.data))

    deletes = "clear storage entry"

    def describe(self, row: StorageEntry) -> str:
        writer = render.sender_name(row.uid, row.by_server)
        return f"{row.key} by {writer} in {row.channel.name}"

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[StorageEntry]) -> None:
        """Clears entries as the server API does (protocol.md section 12), which notifies their
        observers. Locks channels in the writer's order, by name."""
        for entry in sorted(queryset, key=lambda entry: entry.channel.name):
            api.set_storage(entry.channel.name, entry.key, None)

"""What channels keep under their keys; where it is deleted, whoever observes it is told."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import DELETION
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.safestring import SafeString

from chat import api
from chat.models import StorageEntry

from . import words
from .by_channel import ByChannel
from .changelist import Deletable
from .filters import live
from .log import log


class StorageFilters(ByChannel):
    within = ("key",)

    def shown(self) -> Q:
        """One that was cleared is kept for a while as a mark, without its value."""
        return live() & ~Q(data="")


@admin.register(StorageEntry)
class StorageEntryAdmin(Deletable):
    filters = StorageFilters
    list_display = ("name", "channel_name", "writer", "excerpt", "expiry")
    search_fields = ("channel",)
    search_placeholder = "How its channel's name begins"
    fields = ("name", "channel_page", "writer", "metadata", "expiry_time", "content", "number")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StorageEntry]:
        return super().get_queryset(request).select_related("channel")

    def listed(self, rows: QuerySet[StorageEntry]) -> QuerySet[StorageEntry]:
        return rows.defer("data", "umd").annotate(begin=Left("data", words.READ))

    # --- what is shown ----------------------------------------------------------------------

    @admin.display(description="key")
    def name(self, row: StorageEntry) -> str:
        return row.key

    @admin.display(description="channel")
    def channel_name(self, row: StorageEntry) -> SafeString:
        return words.listing(row.channel.name, "storageentry", {"channel": row.channel.name})

    @admin.display(description="channel")
    def channel_page(self, row: StorageEntry) -> SafeString:
        return words.link(row.channel.name, "channel", row.channel_id)

    @admin.display(description="written by")
    def writer(self, row: StorageEntry) -> str | SafeString:
        return words.sender(row.uid, by_server=row.by_server)

    @admin.display(description="value")
    def excerpt(self, row: StorageEntry) -> SafeString:
        return words.excerpt(row.begin)  # type: ignore[attr-defined]

    @admin.display(description="expires")
    def expiry(self, row: StorageEntry) -> str:
        return words.remaining(row.expires_at)

    @admin.display(description="metadata (umd)")
    def metadata(self, row: StorageEntry) -> SafeString:
        return words.json(row.umd)

    @admin.display(description="expires")
    def expiry_time(self, row: StorageEntry) -> str | SafeString:
        return words.expiry(row.expires_at) if row.data else "cleared"

    @admin.display(description="value")
    def content(self, row: StorageEntry) -> str | SafeString:
        return words.json(row.data) if row.data else words.NOTHING

    # --- deleting ---------------------------------------------------------------------------

    def get_deleted_objects(self, objs: Iterable[StorageEntry], request: HttpRequest) -> Any:
        lines = [f"{describe(entry)}: {words.one_line(entry.data)}" for entry in objs]
        return lines, {self.opts.verbose_name_plural: len(lines)}, set(), []

    def log_deletions(self, request: HttpRequest, queryset: Iterable[StorageEntry]) -> Any:
        return log(request, queryset, DELETION, describe)

    def delete_model(self, request: HttpRequest, obj: StorageEntry) -> None:
        clear([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[StorageEntry]) -> None:
        clear(queryset)


def describe(entry: StorageEntry) -> str:
    """Whose it was and where; not what it said, which goes for a reason."""
    sender = words.named(entry.uid, by_server=entry.by_server)
    return f"{entry.key} by {sender} in {entry.channel.name}"


def clear(entries: Iterable[StorageEntry]) -> None:
    """As the server API does (protocol.md section 12). Locks their channels in the order of their
    names, as the writer does."""
    with transaction.atomic():
        for entry in sorted(entries, key=lambda entry: entry.channel.name):
            api.set_storage(entry.channel.name, entry.key, None)

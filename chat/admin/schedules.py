"""What is to be published or written when; a moderator may cancel it."""

from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import DELETION
from django.contrib.admin.options import ActionLocation
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.timezone import now

from chat.models import Schedule
from chat.store.operations import FOR_EVER, SetStorage
from chat.store.operations.schedules import Work, decode

from . import words
from .by_channel import ByChannel
from .changelist import ReadOnly
from .log import log
from .paging import Stream

KEPT: Final = {FOR_EVER: "ever", 0: "not stored"}


class ScheduleFilters(ByChannel):
    """What is due first comes first. Within a channel all are read."""

    within = ("due_at", "id")

    def all(self, rows: QuerySet[Any]) -> Stream:
        return Stream(rows, self.within, ascending=True)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnly):
    filters = ScheduleFilters
    list_display = ("due", "left", "channel_name", "what", "sender", "excerpt")
    search_fields = ("channel",)
    search_placeholder = "How its channel's name begins"
    fields = (
        *("due", "left", "id", "channel_page", "what", "sender", "metadata", "kept", "created"),
        "content",
    )
    actions = ("cancel_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        return super().get_queryset(request).select_related("channel")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_schedule")

    @admin.action(
        permissions=["cancel"],
        description="Cancel this %(verbose_name)s",
        description_plural="Cancel selected %(verbose_name_plural)s",
        location=[ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM],
    )
    def cancel_selected(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Whoever deletes a row decides: the scheduler does what it has deleted. One that it holds
        at this moment is passed over."""
        with transaction.atomic():
            waiting = list(rows.select_for_update(skip_locked=True, of=("self",)))
            Schedule.objects.filter(id__in=[row.id for row in waiting]).delete()
            log(request, waiting, DELETION, describe, "Cancelled.")
        if waiting:
            cancelled = f"{len(waiting)} schedule{'s' * (len(waiting) != 1)}"
            self.message_user(request, f"Cancelled {cancelled}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was cancelled: it is done.", messages.WARNING)

    # --- what is shown ----------------------------------------------------------------------

    @admin.display(description="due (UTC)")
    def due(self, row: Schedule) -> SafeString:
        return words.moment(row.due_at)

    @admin.display(description="left")
    def left(self, row: Schedule) -> str:
        return words.remaining(row.due_at) if row.due_at > now() else "due"

    @admin.display(description="channel")
    def channel_name(self, row: Schedule) -> SafeString:
        return words.listing(row.channel.name, "schedule", {"channel": row.channel.name})

    @admin.display(description="channel")
    def channel_page(self, row: Schedule) -> SafeString:
        return words.link(row.channel.name, "channel", row.channel_id)

    @admin.display(description="what")
    def what(self, row: Schedule) -> str:
        return kind(decode(row.work))

    @admin.display(description="uid")
    def sender(self, row: Schedule) -> str | SafeString:
        work = decode(row.work)
        return words.sender(work.uid, by_server=work.meta is None)

    @admin.display(description="data")
    def excerpt(self, row: Schedule) -> SafeString:
        return words.excerpt(data(decode(row.work)))

    @admin.display(description="metadata (umd)")
    def metadata(self, row: Schedule) -> SafeString:
        return words.json(decode(row.work).umd)

    @admin.display(description="stored for")
    def kept(self, row: Schedule) -> str:
        store = decode(row.work).store
        return KEPT.get(store, f"{store:,} s")

    @admin.display(description="scheduled (UTC)")
    def created(self, row: Schedule) -> SafeString:
        return words.moment(row.created_at)

    @admin.display(description="data")
    def content(self, row: Schedule) -> SafeString:
        return words.json(data(decode(row.work)))


def kind(work: Work) -> str:
    if isinstance(work, SetStorage):
        return f"storage entry {work.key}"
    return f"message {work.event}"


def data(work: Work) -> str:
    """As JSON; a storage entry that is to be cleared has none."""
    return "null" if work.data is None else work.data.decode()


def describe(row: Schedule) -> str:
    """Whose it was, for where and when; not what it would have said."""
    work = decode(row.work)
    sender = words.named(work.uid, by_server=work.meta is None)
    return f"{row.due_at:%Y-%m-%d %H:%M:%S} {kind(work)} by {sender} in {row.channel.name}"

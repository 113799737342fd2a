"""Messages and storage writes that wait for their time; a moderator may cancel them."""

from typing import Final

from django.contrib import admin, messages
from django.contrib.admin.models import DELETION
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now

from chat.models import Schedule
from chat.protocol.publication import FOR_EVER
from chat.store.operations.schedules import Work, decode
from chat.store.operations.storage import SetStorage

from . import render
from .base import ChannelRowAdmin, Column, row_action
from .filters import ByChannelFilters

RETENTIONS: Final = {FOR_EVER: "ever", 0: "not stored"}


class ScheduleFilters(ByChannelFilters[Schedule]):
    """What is due first comes first. Within a channel all are read."""

    order = whole = ("due_at", "id")


@admin.register(Schedule)
class ScheduleAdmin(ChannelRowAdmin[Schedule]):
    filters = ScheduleFilters
    list_display = ("due", "left", "channel_name", "what", "sender", "excerpt")
    fields = (
        *("due", "left", "id", "channel_page", "what", "sender", "umd", "retention"),
        *("created", "content"),
    )
    actions = ("cancel_selected",)
    action_permission = "chat.delete_schedule"

    @row_action("Cancel {}")
    def cancel_selected(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Deletes the rows: the scheduler runs only what it has deleted itself. Skips those that
        it has locked at this moment."""
        waiting = list(rows.select_for_update(skip_locked=True, of=("self",)))
        Schedule.objects.filter(id__in=[row.id for row in waiting]).delete()
        self.log(request, waiting, DELETION, "Cancelled.")
        if waiting:
            self.message_user(request, f"Cancelled {self.counted(waiting)}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was cancelled: it is done.", messages.WARNING)

    def describe(self, row: Schedule) -> str:
        """Without what it would have said."""
        work = decode(row.work)
        sender = render.sender_name(work.uid, work.meta is None)
        return f"{row.due_at:%Y-%m-%d %H:%M:%S} {_kind(work)} by {sender} in {row.channel.name}"

    # --- columns ----------------------------------------------------------------------------

    due = Column[Schedule]("due (UTC)", lambda row: render.timestamp(row.due_at))
    what = Column[Schedule]("what", lambda row: _kind(decode(row.work)))
    excerpt = Column[Schedule]("data", lambda row: render.excerpt(_data(decode(row.work))))
    content = Column[Schedule]("data", lambda row: render.json(_data(decode(row.work))))
    umd = Column[Schedule]("metadata (umd)", lambda row: render.json(decode(row.work).umd))
    created = Column[Schedule]("scheduled (UTC)", lambda row: render.timestamp(row.created_at))

    def left(self, row: Schedule) -> str:
        return render.remaining(row.due_at) if row.due_at > now() else "due"

    @admin.display(description="uid")
    def sender(self, row: Schedule) -> str:
        work = decode(row.work)
        return render.sender(work.uid, work.meta is None)

    @admin.display(description="stored for")
    def retention(self, row: Schedule) -> str:
        store = decode(row.work).store
        return RETENTIONS.get(store, f"{store:,} s")


def _kind(work: Work) -> str:
    if isinstance(work, SetStorage):
        return f"storage entry {work.key}"
    return f"message {work.event}"


def _data(work: Work) -> str:
    """As JSON; a write that clears a storage entry has none."""
    return "null" if work.data is None else work.data.decode()

"""What waits: schedules for their time, outbox entries for a server, backend events for their
delivery to the webhook; or is parked since it could not be done. Moderators may cancel schedules,
delete entries, and let what is parked be tried again."""

import contextlib
from dataclasses import replace
from typing import Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from chat.models import BackendEvent, OutboxEntry, Schedule
from chat.protocol.publication import FOR_EVER
from chat.store.operations import work as works
from chat.store.operations.work import Message, Storage, UnreadableWork, read, text

from . import render
from .base import ChannelRowAdmin, Column, ReadOnlyAdmin, now, row_action
from .paging import ByChannelFilters, Filters, IndexScan, Scans

STATES: Final = (("", "All"), ("waiting", "Waiting"), ("parked", "Parked"))
WAITING_CAP: Final = 10_000
RETENTIONS: Final = {FOR_EVER: "ever", 0: "not stored"}


class ParkableAdmin[M: Schedule | OutboxEntry](ReadOnlyAdmin[M]):
    """Rows that are parked where they could not be done."""

    @row_action("Try {} again")
    def try_again(self, request: HttpRequest, rows: QuerySet[M]) -> None:
        """Parked ones; the others are done anyway."""
        parked = list(rows.exclude(parked_at=None).select_for_update(of=("self",)))
        ids = [row.pk for row in parked]
        rows.filter(pk__in=ids).update(parked_at=None, problem="")
        self.log(request, parked, CHANGE, "Tried again.")
        tried = f"{self.counted(parked)} will be tried within seconds."
        self.message_user(request, tried, messages.SUCCESS)

    @admin.display(description="parked (UTC)")
    def parked(self, row: M) -> str:
        return render.timestamp(row.parked_at) if row.parked_at else render.EMPTY


class ScheduleFilters(ByChannelFilters[Schedule]):
    """What is due first comes first. Within a channel all are read."""

    order = whole = ("due_at", "id")

    state = forms.ChoiceField(required=False, choices=STATES)

    def scans(self, rows: QuerySet[Schedule]) -> Scans[Schedule]:
        state = self.conditions().get("state")
        residual = Q(parked_at__isnull=state == "waiting") if state else Q()
        return [replace(scan, residual=residual) for scan in super().scans(rows)]


@admin.register(Schedule)
class ScheduleAdmin(ParkableAdmin[Schedule], ChannelRowAdmin[Schedule]):
    filters = ScheduleFilters
    list_display = ("due", "left", "channel_name", "what", "sender", "excerpt")
    fields = (
        *("due", "left", "id", "channel_page", "what", "sender", "umd", "retention"),
        *("created", "parked", "problem", "content"),
    )
    actions = ("cancel_selected", "try_again")
    action_permission = "chat.delete_schedule"

    @row_action("Cancel {}")
    def cancel_selected(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Deletes the rows: the scheduler runs only what it has deleted itself. Skips those that
        it has locked at this moment."""
        waiting = list(rows.select_for_update(skip_locked=True, of=("self",)))
        Schedule.objects.filter(id__in=[row.id for row in waiting]).delete()
        self.log(request, waiting, DELETION, "Cancelled.", act="cancel schedule")
        if waiting:
            self.message_user(request, f"Cancelled {self.counted(waiting)}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was cancelled: it is done.", messages.WARNING)

    def subject(self, row: Schedule) -> tuple[str | None, str]:
        work = _work(row)
        return work.uid if work else None, row.channel.name

    def describe(self, row: Schedule) -> str:
        """Without what it would have said."""
        work = _work(row)
        sender = f" by {render.sender_name(work.uid, work.by_server)}" if work else ""
        return f"{row.due_at:%Y-%m-%d %H:%M:%S} {_kind(work)}{sender} in {row.channel.name}"

    # --- columns ----------------------------------------------------------------------------

    due = Column[Schedule]("due (UTC)", lambda row: render.timestamp(row.due_at))
    what = Column[Schedule]("what", lambda row: _kind(_work(row)))
    excerpt = Column[Schedule]("data", lambda row: render.excerpt(_data(row)))
    content = Column[Schedule]("data", lambda row: render.json(_data(row)))
    umd = Column[Schedule](
        "metadata (umd)", lambda row: render.json(text(work.umd) if (work := _work(row)) else "")
    )
    created = Column[Schedule]("scheduled (UTC)", lambda row: render.timestamp(row.created_at))

    def left(self, row: Schedule) -> str:
        if row.parked_at:
            return "parked"
        return render.remaining(row.due_at, now(row)) if row.due_at > now(row) else "due"

    @admin.display(description="uid")
    def sender(self, row: Schedule) -> str:
        work = _work(row)
        return render.sender(work.uid, work.by_server) if work else render.EMPTY

    @admin.display(description="stored for")
    def retention(self, row: Schedule) -> str:
        work = _work(row)
        return RETENTIONS.get(work.store, f"{work.store:,} s") if work else render.EMPTY


def _work(row: Schedule) -> Message | Storage | None:
    """None: it cannot be read. Read once for all columns of a row."""
    kept = vars(row)
    if "said" not in kept:
        kept["said"] = None
        with contextlib.suppress(UnreadableWork):
            kept["said"] = read(row.work)
    said = kept["said"]
    return said if isinstance(said, Message | Storage) else None


def _kind(work: Message | Storage | None) -> str:
    if work is None:
        return "cannot be read"
    return f"storage entry {work.key}" if isinstance(work, Storage) else f"message {work.event}"


def _data(row: Schedule) -> str:
    """As JSON: null where it clears a storage entry, the whole row where it cannot be read."""
    work = _work(row)
    return text(work.data) if work else row.work


# --- the outbox ---------------------------------------------------------------------------------


class OutboxFilters(Filters[OutboxEntry]):
    channel = forms.CharField(required=False)
    state = forms.ChoiceField(required=False, choices=STATES)

    def scans(self, rows: QuerySet[OutboxEntry]) -> Scans[OutboxEntry]:
        conditions = self.conditions()
        state, channel = conditions.get("state"), conditions.get("channel")
        residual = Q(parked_at__isnull=state == "waiting") if state else Q()
        return [IndexScan(rows, residual=residual & Q(channel=channel) if channel else residual)]


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ParkableAdmin[OutboxEntry]):
    filters = OutboxFilters
    list_display = ("time", "of", "what", "state", "problem")
    fields = ("time", "of", "what", "state", "parked", "problem", "content")
    actions = ("delete_entries", "try_again")
    action_permission = "chat.delete_outboxentry"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        waiting = OutboxEntry.objects.filter(parked_at=None)[: WAITING_CAP + 1].count()
        title = f"Outbox entries: {render.capped(waiting, WAITING_CAP)} waiting"
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    @row_action("Delete {}")
    def delete_entries(self, request: HttpRequest, rows: QuerySet[OutboxEntry]) -> None:
        """Passes over those that a server is doing at this moment."""
        found = list(rows.select_for_update(skip_locked=True, of=("self",)))
        OutboxEntry.objects.filter(id__in=[row.id for row in found]).delete()
        self.log(request, found, DELETION, "Deleted.", act="delete outbox entry")
        self.message_user(request, f"Deleted {self.counted(found)}.", messages.SUCCESS)

    def subject(self, row: OutboxEntry) -> tuple[str | None, str]:
        return None, row.channel

    def describe(self, row: OutboxEntry) -> str:
        """Without what it would have said."""
        return f"{_what(row)} in {row.channel}"

    # --- columns ----------------------------------------------------------------------------

    time = Column[OutboxEntry]("time (UTC)", lambda row: render.timestamp(row.created_at))
    what = Column[OutboxEntry]("what", lambda row: _what(row))
    content = Column[OutboxEntry]("work", lambda row: render.json(row.work))
    of = Column[OutboxEntry](
        "channel", lambda row: render.list_link(row.channel, "outboxentry", channel=row.channel)
    )
    state = Column[OutboxEntry](
        "state", lambda row: "parked" if row.parked_at else "waiting for a server"
    )


def _what(row: OutboxEntry) -> str:
    said = None
    with contextlib.suppress(UnreadableWork):
        said = read(row.work)
    match said:
        case works.Reaction(reaction=reaction):
            return f"reaction {reaction}"
        case works.Deletion(message_id=id):
            return f"deletion of {id}"
        case works.Removal(ids=ids, hides=hides):
            return f"{'hiding' if hides else 'deletion'} of {len(ids)} messages"
        case works.Showing(message_id=id):
            return f"showing of {id}"
        case works.Schedule(work=work):
            return f"schedule of {_kind(work)}"
        case works.Cancellation(schedule=id):
            return f"cancellation of {id}"
        case _:
            return _kind(said)


# --- backend events -----------------------------------------------------------------------------


class BackendEventFilters(Filters[BackendEvent]):
    stream = forms.CharField(required=False, label="Channel or connection")
    state = forms.ChoiceField(required=False, choices=STATES)

    def scans(self, rows: QuerySet[BackendEvent]) -> Scans[BackendEvent]:
        """Waiting events in the order of sending; otherwise the latest first."""
        if not self.is_valid():
            return [IndexScan(rows.none())]
        conditions = self.conditions()
        if stream := conditions.get("stream"):
            rows = rows.filter(stream=stream)
        state = conditions.get("state")
        if state == "waiting" and not stream:
            waiting = rows.filter(next_attempt_at__isnull=False)
            return [IndexScan(waiting, ("next_attempt_at", "id"), ascending=True)]
        residual = Q(next_attempt_at__isnull=state == "parked") if state else Q()
        return [IndexScan(rows, residual=residual)]


@admin.register(BackendEvent)
class BackendEventAdmin(ReadOnlyAdmin[BackendEvent]):
    filters = BackendEventFilters
    list_display = ("time", "type", "of", "state", "attempts", "last_error")
    fields = ("time", "webhook_id", "type", "of", "state", "attempts", "last_error", "content")
    actions = ("deliver_again",)
    action_permission = "chat.change_backendevent"

    def columns_of(self, rows: QuerySet[BackendEvent]) -> QuerySet[BackendEvent]:
        return rows.defer("body")

    @row_action("Deliver {} again")
    def deliver_again(self, request: HttpRequest, rows: QuerySet[BackendEvent]) -> None:
        """Parked events become due; waiting ones have their time already."""
        parked = list(rows.filter(next_attempt_at=None).select_for_update().defer("body"))
        ids = [row.id for row in parked]
        BackendEvent.objects.filter(id__in=ids).update(next_attempt_at=Now(), attempts=0)
        self.log(request, parked, CHANGE, "Delivered again.")
        sent = f"{self.counted(parked)} will be sent within seconds."
        self.message_user(request, sent, messages.SUCCESS)

    # --- columns ----------------------------------------------------------------------------

    time = Column[BackendEvent]("time (UTC)", lambda row: render.timestamp(row.created_at))
    content = Column[BackendEvent]("body", lambda row: render.json(row.body))
    of = Column[BackendEvent](
        "channel or connection",
        lambda row: render.list_link(row.stream, "backendevent", stream=row.stream),
    )

    def state(self, row: BackendEvent) -> str:
        if row.next_attempt_at is None:
            return "parked"
        if row.next_attempt_at <= now(row):
            return "waiting for its turn"
        return f"tried again {render.remaining(row.next_attempt_at, now(row))}"

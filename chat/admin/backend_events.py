"""Events that wait for their delivery to the webhook, or are parked after a day of failed attempts.

Delivered events are deleted.
"""

from typing import Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.timezone import now

from chat.models import BackendEvent

from . import render
from .base import Column, ReadOnlyAdmin, row_action
from .filters import Filters
from .paging import IndexScan, Scans

WAITING: Final = "waiting"
PARKED: Final = "parked"
STATES: Final = (("", "All"), (WAITING, "Waiting"), (PARKED, "Parked"))


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
        if state == WAITING and not stream:
            waiting = rows.filter(next_attempt_at__isnull=False)
            return [IndexScan(waiting, ("next_attempt_at", "id"), ascending=True)]
        residual = Q(next_attempt_at__isnull=state == PARKED) if state else Q()
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
        if row.next_attempt_at <= now():
            return "waiting for its turn"
        return f"tried again {render.remaining(row.next_attempt_at)}"

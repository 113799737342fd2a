"""What the webhook is still to be told: waiting for its turn, or parked since it failed for a day.

What was delivered is gone from here.
"""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.options import ActionLocation
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.timezone import now

from chat.models import BackendEvent

from . import words
from .changelist import ReadOnly
from .filters import Filters
from .log import log
from .paging import Stream

WAITING: Final = "waiting"
PARKED: Final = "parked"
STATES: Final = (("", "All"), (WAITING, "Waiting"), (PARKED, "Parked"))


class BackendEventFilters(Filters):
    stream = forms.CharField(required=False, label="Channel or connection")
    state = forms.ChoiceField(required=False, choices=STATES)

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        """Waiting: what is to be sent next comes first. Else the latest."""
        if not self.is_valid():
            return [Stream(rows.none())]
        asked = self.asked()
        if "stream" in asked:
            rows = rows.filter(stream=asked["stream"])
        elif asked.get("state") == WAITING:
            waiting = rows.filter(next_attempt_at__isnull=False)
            return [Stream(waiting, ("next_attempt_at", "id"), ascending=True)]
        state = Q(next_attempt_at__isnull=asked["state"] == PARKED) if "state" in asked else Q()
        return [Stream(rows, rest=state)]


@admin.register(BackendEvent)
class BackendEventAdmin(ReadOnly):
    filters = BackendEventFilters
    list_display = ("time", "kind", "of", "state", "attempts", "error")
    fields = (
        *("time", "webhook_id", "kind", "of", "state", "attempts", "error"),
        "content",
    )
    actions = ("deliver_again",)

    def listed(self, rows: QuerySet[BackendEvent]) -> QuerySet[BackendEvent]:
        return rows.defer("body")

    def has_deliver_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_backendevent")

    @admin.action(
        permissions=["deliver"],
        description="Deliver this %(verbose_name)s again",
        description_plural="Deliver selected %(verbose_name_plural)s again",
        location=[ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM],
    )
    def deliver_again(self, request: HttpRequest, rows: QuerySet[BackendEvent]) -> None:
        """What is parked becomes due; what waits has its time already."""
        with transaction.atomic():
            parked = list(rows.filter(next_attempt_at=None).select_for_update().defer("body"))
            ids = [row.id for row in parked]
            BackendEvent.objects.filter(id__in=ids).update(next_attempt_at=Now(), attempts=0)
            log(request, parked, CHANGE, message="Delivered again.")
        sending = f"{len(parked)} backend event{'s' * (len(parked) != 1)}"
        self.message_user(request, f"{sending} will be sent within seconds.", messages.SUCCESS)

    # --- what is shown ----------------------------------------------------------------------

    @admin.display(description="time (UTC)")
    def time(self, row: BackendEvent) -> SafeString:
        return words.moment(row.created_at)

    @admin.display(description="type")
    def kind(self, row: BackendEvent) -> str:
        return row.type

    @admin.display(description="channel or connection")
    def of(self, row: BackendEvent) -> SafeString:
        return words.listing(row.stream, "backendevent", {"stream": row.stream})

    @admin.display(description="state")
    def state(self, row: BackendEvent) -> str:
        if row.next_attempt_at is None:
            return "parked"
        if row.next_attempt_at <= now():
            return "waiting for its turn"
        return f"tried again {words.remaining(row.next_attempt_at)}"

    @admin.display(description="last error")
    def error(self, row: BackendEvent) -> str:
        return row.last_error or words.NOTHING

    @admin.display(description="body")
    def content(self, row: BackendEvent) -> SafeString:
        return words.json(row.body)

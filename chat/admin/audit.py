"""The audit log: who did what to whom, when and from where. Nobody changes it here."""

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet

from chat.models import AuditEntry

from . import render
from .base import Column, ReadOnlyAdmin
from .paging import TIME, Filters, IndexScan, Scans


class AuditFilters(Filters[AuditEntry]):
    uid = forms.CharField(required=False, strip=False)
    act = forms.CharField(required=False, label="Action")  # `action` is the name of a list's own
    actor = forms.CharField(required=False)
    since = forms.DateTimeField(required=False, label="From (UTC)", widget=TIME)
    until = forms.DateTimeField(required=False, label="Before (UTC)", widget=TIME)

    def scans(self, rows: QuerySet[AuditEntry]) -> Scans[AuditEntry]:
        """By uid or by time: these two have an index; the latest first."""
        if not self.is_valid():
            return [IndexScan(rows.none())]
        conditions = self.conditions()
        lookups = {"act": "action", "actor": "actor", "since": "at__gte", "until": "at__lt"}
        asked = {lookups[name]: conditions[name] for name in lookups if name in conditions}
        if uid := conditions.get("uid"):
            return [IndexScan(rows.filter(uid=uid), residual=Q(**asked))]
        times = {name: asked.pop(name) for name in ("at__gte", "at__lt") if name in asked}
        return [IndexScan(rows.filter(**times), ("at", "id"), residual=Q(**asked))]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    filters = AuditFilters
    list_display = ("time", "who", "address", "what", "whom", "channel", "details")
    fields = list_display

    time = Column[AuditEntry]("time (UTC)", lambda row: render.timestamp(row.at))
    details = Column[AuditEntry]("details", lambda row: render.excerpt(row.detail))

    @admin.display(description="actor")
    def who(self, row: AuditEntry) -> str:
        return render.list_link(row.actor, "auditentry", actor=row.actor)

    @admin.display(description="action")
    def what(self, row: AuditEntry) -> str:
        return render.list_link(row.action, "auditentry", act=row.action)

    @admin.display(description="uid")
    def whom(self, row: AuditEntry) -> str:
        return render.list_link(row.uid, "auditentry", uid=row.uid) if row.uid else render.EMPTY

"""The server's processes, each alive while its lease lasts."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import now

from chat.models import Connection, Node

from . import words
from .changelist import ReadOnly
from .counting import CAP, counted


@admin.register(Node)
class NodeAdmin(ReadOnly):
    list_display = ("process", "version", "started", "lease", "connections")
    fields = ("id", "process", "version", "started", "lease", "connections")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Node]:
        own = Connection.objects.filter(node_id=OuterRef("pk"))
        return counted(super().get_queryset(request), CAP, held=own)

    @admin.display(description="host and process")
    def process(self, row: Node) -> str:
        return str(row)

    @admin.display(description="started (UTC)")
    def started(self, row: Node) -> SafeString:
        return words.moment(row.started_at)

    @admin.display(description="lease until (UTC)")
    def lease(self, row: Node) -> SafeString:
        state = "holds" if row.lease_until > now() else "ran out"
        return format_html("{} ({})", words.moment(row.lease_until), state)

    @admin.display(description="connections")
    def connections(self, row: Any) -> str:
        return words.capped(row.held, CAP)

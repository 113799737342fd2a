"""The live page: what each server process counts, while somebody looks (docs/admin.md). Its numbers
come over a WebSocket of the server's own; the view says which processes there are, in one query.
"""

from collections.abc import Callable
from typing import Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from chat.actions.live import ticket
from chat.conf import settings
from chat.http.staticfiles import built
from chat.models import Live

from .base import ReadOnlyAdmin, now

PROCESSES: Final = 200


@admin.register(Live)
class LiveAdmin(ReadOnlyAdmin[Live]):
    """One page instead of a list."""

    class Media:
        css = {"all": ("chat/admin/live/live.css",)}  # noqa: RUF012

    def has_view_permission(self, request: HttpRequest, obj: Live | None = None) -> bool:
        """Who may see connections: the page names channels and addresses, as theirs do."""
        return request.user.has_perm("chat.view_connection")

    def get_urls(self) -> list[URLPattern]:
        return [
            path("", self._guarded(self._page), name="chat_live_changelist"),
            path("ticket/", self._guarded(require_POST(_ticket)), name="chat_live_ticket"),
        ]

    def _guarded(
        self, view: Callable[[HttpRequest], HttpResponseBase]
    ) -> Callable[..., HttpResponseBase]:
        def guarded(request: HttpRequest) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return view(request)

        return self.admin_site.admin_view(guarded)

    def _page(self, request: HttpRequest) -> HttpResponse:
        rows = self.get_queryset(request)[:PROCESSES]
        context = {
            **self.admin_site.each_context(request),
            "title": "Live",
            "media": self.media,
            "opts": self.opts,
            "processes": [{"row": row, "holds": row.lease_until > now(row)} for row in rows],
            "websocket": reverse("chat:websocket"),
            "client": built("chat/client/small.js"),
            "refused_origin": _refused_origin(request),
        }
        return TemplateResponse(request, "admin/chat/live/page.html", context)


def _ticket(request: HttpRequest) -> HttpResponse:
    return HttpResponse(ticket(), content_type="text/plain")


def _refused_origin(request: HttpRequest) -> str:
    """This page's origin where its WebSocket would be refused for it; else ""."""
    origin = f"{request.scheme}://{request.get_host()}"
    allowed = settings.ALLOWED_ORIGINS
    return "" if "*" in allowed or origin in allowed else origin

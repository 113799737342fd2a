"""What a person, a `uid`, holds of what has a quota. Counts as the server does: a page, no list."""

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from chat.models import Connection
from chat.store.usage import Quota, usage_of

from . import render

if TYPE_CHECKING:
    from .base import ReadOnlyAdmin


def show(admin: "ReadOnlyAdmin[Connection]", request: HttpRequest) -> HttpResponse:
    """Of the uid in the query; for those who may see connections."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    uid = request.GET.get("uid", "").replace("\0", "")
    usage, complete = usage_of(uid)
    rows = [(quota.plain, _held(quota, usage[quota], complete), _limit(quota)) for quota in Quota]
    context = {
        **admin.admin_site.each_context(request),
        "title": f"What {uid} holds",
        "opts": admin.opts,
        "usage": render.table(("What", "Held now", "At most"), rows, len(rows), ""),
        "messages_of": render.list_link("Messages", "message", uid=uid),
        "connections_of": render.list_link("Connections", "connection", q=uid),
    }
    return TemplateResponse(request, "admin/chat/person.html", context)


def _held(quota: Quota, held: int, complete: bool) -> str:
    return f"{held:,}" if complete or quota is not Quota.STORED_BYTES else f"more than {held:,}"


def _limit(quota: Quota) -> str:
    return f"{quota.limit:,}" if quota.limit else "any number"

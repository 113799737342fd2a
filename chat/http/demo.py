"""The chat page, where the demo is switched on."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tokens.conf import settings


@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """Two chat windows; its tokens come from `POST /tokens`."""
    if not settings.DEMO:
        raise Http404
    return render(request, "chat/demo.html")

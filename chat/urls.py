from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from chat.http import client_api, descriptions, server_api
from chat.http.staticfiles import built, compress
from tokens.conf import settings


@csrf_exempt  # any other method is a 405, not a 403
@require_safe
async def demo(request: HttpRequest) -> HttpResponse:
    """The chat page, where it is switched on; its tokens come from `POST /tokens`."""
    if not settings.DEMO:
        raise Http404
    files = {"script": built("chat/demo/main.js"), "style": built("chat/demo/demo.css")}
    page = render(request, "chat/demo.html", files)
    compress(request, page)  # it holds no secret, and nothing of what a request says
    return page


urlpatterns = [
    path("", demo),
    re_path(r"^connection/(?P<operation>[\s\S]*)\Z", client_api.client_operation),
    path("publish", server_api.publish),
    re_path("^channels(?:/|$)", server_api.below_channels),
    path("connections/disconnect", server_api.disconnect),
    path("tokens/revoke", server_api.revoke),
    path("tokens/revoked", server_api.revoked),
    path("bans", server_api.bans),
    re_path(r"^bans/(?P<id>[\s\S]+)\Z", server_api.ban),
    re_path(r"^schedules/(?P<arn>[\s\S]+)\Z", server_api.schedule),
    path("openapi.json", descriptions.openapi),
    path("asyncapi.json", descriptions.asyncapi),
]

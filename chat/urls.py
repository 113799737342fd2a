"""The server's addresses (protocol.md section 1), for a project to include under any prefix."""

from typing import Never

from django.http import Http404, HttpRequest
from django.urls import path, re_path

from chat.http import client_api, descriptions, health, server_api
from chat.http.metrics import metrics
from chat.users import token

app_name = "chat"


async def websocket(request: HttpRequest) -> Never:
    """The address of WebSockets (`chat/routing.py`); there is nothing for HTTP."""
    raise Http404


urlpatterns = [
    path("v1", websocket, name="websocket"),
    path("token", token, name="token"),
    re_path(r"^connection/(?P<operation>[\s\S]*)\Z", client_api.client_operation),
    path("publish", server_api.publish),
    re_path(r"^channels(?:/(?P<rest>[\s\S]*))?\Z", server_api.below_channels),
    path("connections/disconnect", server_api.disconnect),
    path("tokens/revoke", server_api.revoke),
    path("tokens/revoked", server_api.revoked),
    path("bans", server_api.bans),
    re_path(r"^bans/(?P<id>[\s\S]+)\Z", server_api.ban),
    re_path(r"^schedules/(?P<arn>[\s\S]+)\Z", server_api.schedule),
    path("openapi.json", descriptions.openapi),
    path("asyncapi.json", descriptions.asyncapi),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics),
]

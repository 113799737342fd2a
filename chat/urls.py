from django.urls import path, re_path

from chat.http import client_api, demo, descriptions, server_api
from tokens.views import tokens

urlpatterns = [
    path("", demo.page),
    path("tokens", tokens, {"admits": demo.admits}),
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

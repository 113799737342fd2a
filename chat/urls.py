from django.urls import path, re_path

from chat.http import client_api, demo, server_api

urlpatterns = [
    path("", demo.page),
    re_path(r"^connection/(?P<operation>[\s\S]*)\Z", client_api.client_operation),
    path("publish", server_api.publish),
    re_path("^channels(?:/|$)", server_api.channel),
    re_path(r"^schedules/(?P<arn>[\s\S]+)\Z", server_api.schedule),
]

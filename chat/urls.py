from django.urls import path, re_path

from . import server_api, views

urlpatterns = [
    path("", views.demo),
    path("connection/<str:operation>", views.client_operation),
    path("publish", server_api.publish),
    re_path("^channels(?:/|$)", server_api.channel),
    re_path(r"^schedules/(?P<arn>[\s\S]+)\Z", server_api.schedule),
]

"""The site's HTTP addresses (protocol.md section 1)."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    *([path("admin/", admin.site.urls)] if settings.ADMIN else []),
    path("", include("chat.demo_urls")),
    path("", include("chat.urls")),
]

"""The site's HTTP addresses (protocol.md section 1)."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("tokens.urls")),
    path("", include("chat.urls")),
]

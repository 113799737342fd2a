"""The site's HTTP addresses (protocol.md section 1)."""

from django.contrib import admin
from django.urls import include, path

from chatsite import health

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
    path("", include("tokens.urls")),
    path("", include("chat.urls")),
]

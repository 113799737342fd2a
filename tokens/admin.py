"""The admin shows used tokens and changes none."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from tokens.models import UsedToken


@admin.register(UsedToken)
class UsedTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    list_display = ("id", "expires_at")
    list_filter = ("expires_at",)
    search_fields = ("id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

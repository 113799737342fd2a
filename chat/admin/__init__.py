"""What is stored, to look at. Nothing can be added or changed here."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from chat.models import Channel, Connection, Message, Node, Reaction, Subscription

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnly(ModelAdmin):
    show_full_result_count = False  # counting a large table takes seconds

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Channel)
class ChannelAdmin(ReadOnly):
    list_display = ("name", "number", "last_message_id", "changed_at")
    search_fields = ("name__startswith",)


@admin.register(Message)
class MessageAdmin(ReadOnly):
    list_display = ("id", "channel", "event", "uid", "expires_at")
    list_select_related = ("channel",)


@admin.register(Reaction)
class ReactionAdmin(ReadOnly):
    list_display = ("reaction", "uid", "message", "removed", "created_at")


@admin.register(Connection)
class ConnectionAdmin(ReadOnly):
    list_display = ("id", "uid", "address", "connected_at", "expires_at")
    exclude = ("secret_hash",)


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly):
    list_display = ("connection", "channel", "subscribed_at")
    list_select_related = ("connection", "channel")


@admin.register(Node)
class NodeAdmin(ReadOnly):
    list_display = ("host", "pid", "version", "started_at", "lease_until")

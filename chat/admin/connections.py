"""Who is connected: since when, from where, with which rights; a moderator may close them.

What proves who they are never gets here: the secret's hash and the tokens have no column, no
field and no filter.
"""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.options import ActionLocation
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.timezone import now

from chat.models import Connection, Subscription

from . import words
from .changelist import ReadOnly
from .counting import counted
from .filters import Filters
from .log import log
from .paging import Stream

SUBSCRIPTIONS: Final = 100  # subscriptions that a connection's page lists
SECRET: Final = ("secret_hash", "claims")


class ConnectionFilters(Filters):
    q = forms.CharField(required=False, widget=forms.HiddenInput)

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        """The latest first. Reads all connections: there are as many as are open now."""
        sought = self.asked().get("q")
        if sought:
            rows = rows.filter(Q(uid=sought) | Q(address=sought) | Q(id=sought))
        return [Stream(rows, ("connected_at", "id"))]


@admin.register(Connection)
class ConnectionAdmin(ReadOnly):
    filters = ConnectionFilters
    list_display = ("name", "person", "since", "address", "browser", "subscribed", "state")
    search_fields = ("uid", "address", "id")
    search_placeholder = "A uid, address or id, in full"
    fields = (
        *("id", "person", "metadata", "state", "since", "ends", "address", "browser", "agent"),
        *("node", "may", "subscriptions"),
    )
    actions = ("close_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        rows = super().get_queryset(request).defer("secret_hash")
        own = Subscription.objects.filter(connection_id=OuterRef("pk"))
        return counted(rows, SUBSCRIPTIONS, held=own)

    def listed(self, rows: QuerySet[Connection]) -> QuerySet[Connection]:
        return rows.defer(*SECRET, "umd")

    def has_close_permission(self, request: HttpRequest) -> bool:
        """Closing ends a connection as deleting ends a message: the same right."""
        return request.user.has_perm("chat.delete_connection")

    @admin.action(
        permissions=["close"],
        description="Close this %(verbose_name)s",
        description_plural="Close selected %(verbose_name_plural)s",
        location=[ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM],
    )
    def close_selected(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        with transaction.atomic():
            ticked = list(rows.filter(revoked=False))
            Connection.objects.filter(id__in=[row.id for row in ticked]).update(revoked=True)
            log(request, ticked, CHANGE, message="Closed (4403).")
        closing = f"{len(ticked)} connection{'s' * (len(ticked) != 1)}"
        self.message_user(request, f"{closing} will be closed within seconds.", messages.SUCCESS)

    # --- what is shown ----------------------------------------------------------------------

    @admin.display(description="id")
    def name(self, row: Connection) -> str:
        return row.id

    @admin.display(description="uid")
    def person(self, row: Connection) -> str | SafeString:
        return words.listing(row.uid, "message", {"uid": row.uid}) if row.uid else words.NOTHING

    @admin.display(description="metadata (umd)")
    def metadata(self, row: Connection) -> SafeString:
        return words.json(row.umd)

    @admin.display(description="since (UTC)")
    def since(self, row: Connection) -> SafeString:
        return words.moment(row.connected_at)

    @admin.display(description="ends at the latest (UTC)")
    def ends(self, row: Connection) -> SafeString:
        return words.moment(row.expires_at)

    @admin.display(description="browser")
    def browser(self, row: Connection) -> str:
        return words.browser(row.user_agent)

    @admin.display(description="user agent")
    def agent(self, row: Connection) -> str:
        return row.user_agent or words.NOTHING

    @admin.display(description="subscriptions")
    def subscribed(self, row: Any) -> str | SafeString:
        count = words.capped(row.held, SUBSCRIPTIONS)
        return words.listing(count, "subscription", {"connection": row.id}) if row.held else count

    @admin.display(description="state")
    def state(self, row: Connection) -> str:
        if row.revoked:
            return "being closed"
        return "open" if row.expires_at > now() else "at its end"

    @admin.display(description="its token says")
    def may(self, row: Connection) -> str | SafeString:
        return words.explained(row.claims, "connect")

    @admin.display(description="subscriptions")
    def subscriptions(self, row: Any) -> SafeString:
        found = row.subscriptions.select_related("channel")[:SUBSCRIPTIONS]
        more = words.listing("All subscriptions", "subscription", {"connection": row.id})
        return words.table(
            ("Channel", "Since (UTC)", "Its own token says"),
            [
                (
                    words.link(one.channel.name, "channel", one.channel_id),
                    words.moment(one.subscribed_at),
                    words.explained(one.claims, "subscribe"),
                )
                for one in found
            ],
            more if row.held > SUBSCRIPTIONS else "",
        )

"""Connections, their subscriptions and the nodes that hold them; moderators may close connections.

No secret gets here: its hash and the tokens have no column, no field and no filter.
"""

import re
from collections.abc import Collection
from functools import partial
from typing import Final, Protocol

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db.models import OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from chat import api
from chat.models import Connection, Node, Subscription
from chat.protocol.addresses import network
from tokens.claims import TokenError, parse_claims
from tokens.explain import explain

from . import people, render
from .base import ChannelRowAdmin, Column, ReadOnlyAdmin, actor_of, now, row_action
from .paging import Filters, IndexScan, Scans, with_counts

SUBSCRIPTIONS: Final = 100  # that a connection's page lists
CONNECTIONS: Final = 10_000  # of a node that are counted
AGENT: Final = 60  # characters of an unknown user agent that are shown

# The first that matches names the browser: each also claims to be those that follow.
BROWSERS: Final = (
    ("Edge", re.compile(r"\bEdgA?(?:iOS)?/(\d+)")),
    ("Opera", re.compile(r"\bOPR/(\d+)")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/(\d+)")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"\b(?:Headless)?(?:Chrome|CriOS)/(\d+)")),
    ("Safari", re.compile(r"\bVersion/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/")),
)
SYSTEMS: Final = ("iPhone", "iPad", "Android", "Windows", "Mac OS X", "CrOS", "Linux")
SYSTEM_NAMES: Final = {"Mac OS X": "macOS", "CrOS": "ChromeOS"}


class Counted(Protocol):
    id: str
    held: int


class ConnectionFilters(Filters[Connection]):
    search = "A uid, address or id, in full"

    def scans(self, rows: QuerySet[Connection]) -> Scans[Connection]:
        """The latest first. Reads all connections: there are only those that are open now."""
        if sought := self.conditions().get("q"):
            rows = rows.filter(Q(uid=sought) | Q(address=sought) | Q(id=sought))
        return [IndexScan(rows, ("connected_at", "id"))]


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin[Connection]):
    filters = ConnectionFilters
    list_display = ("id", "user", "since", "address", "browser", "subscribed", "state")
    fields = (
        *("id", "user", "holdings", "metadata", "state", "since", "ends"),
        *("address", "browser", "user_agent", "node", "rights", "subscriptions"),
    )
    actions = ("close_selected", "revoke_tokens", "ban_uid", "ban_address")
    action_permission = "chat.delete_connection"  # closing ends it as deleting ends a message

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        return super().get_queryset(request).defer("secret_hash")

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(partial(people.show, self))
        return [path("person/", page, name="chat_person"), *super().get_urls()]

    def columns_of(self, rows: QuerySet[Connection]) -> QuerySet[Connection]:
        own = Subscription.objects.filter(connection_id=OuterRef("pk"))
        return with_counts(rows.defer("secret_hash", "claims", "umd"), SUBSCRIPTIONS, held=own)

    @row_action("Close {}")
    def close_selected(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        closing = list(rows.filter(revoked=False))
        Connection.objects.filter(id__in=[row.id for row in closing]).update(revoked=True)
        self.log(request, closing, CHANGE, "Closed (4403).", act="disconnect")
        closed = f"{self.counted(closing)} will be closed within seconds."
        self.message_user(request, closed, messages.SUCCESS)

    def has_restrict_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.add_restriction")

    @row_action("Revoke all tokens of the uid of {}", "restrict")
    def revoke_tokens(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        revoked = [row for row in rows if row.uid]
        for uid in sorted({row.uid for row in revoked if row.uid}):
            api.revoke_tokens(uid=uid, actor=actor_of(request))
        self.log(request, revoked, CHANGE, "Tokens of the uid revoked.")
        sentence = f"Revoked the tokens of the uids of {self.counted(revoked)}."
        self.message_user(request, sentence, messages.SUCCESS)

    @row_action("Ban the uid of {} \N{HORIZONTAL ELLIPSIS}", "restrict")
    def ban_uid(self, request: HttpRequest, rows: QuerySet[Connection]) -> HttpResponse | None:
        return self._ban(request, "uid", {row.uid for row in rows})

    @row_action("Ban the address of {} \N{HORIZONTAL ELLIPSIS}", "restrict")
    def ban_address(self, request: HttpRequest, rows: QuerySet[Connection]) -> HttpResponse | None:
        """Of IPv6 the /64, in which a client can take any other."""
        return self._ban(request, "address", {network(row.address) for row in rows})

    def _ban(
        self, request: HttpRequest, what: str, chosen: Collection[str | None]
    ) -> HttpResponse | None:
        """To the form, which says what it will do and is sent by hand."""
        found = {*chosen} - {None, ""}
        if len(found) == 1:
            form = reverse("admin:chat_restriction_add", query={what: found.pop()})
            return HttpResponseRedirect(form)
        sentence = f"Select connections of one {what}, and not of {len(found)}."
        self.message_user(request, sentence, messages.ERROR)
        return None

    def subject(self, row: Connection) -> tuple[str | None, str]:
        return row.uid, ""

    # --- columns ----------------------------------------------------------------------------

    since = Column[Connection]("since (UTC)", lambda row: render.timestamp(row.connected_at))
    browser = Column[Connection]("browser", lambda row: browser_name(row.user_agent))
    ends = Column[Connection](
        "ends at the latest (UTC)", lambda row: render.timestamp(row.expires_at)
    )
    rights = Column[Connection]("its token says", lambda row: explain_claims(row.claims, "connect"))

    @admin.display(description="subscriptions")
    def subscribed(self, row: Counted) -> str:
        count = render.capped(row.held, SUBSCRIPTIONS)
        return render.list_link(count, "subscription", connection=row.id) if row.held else count

    def state(self, row: Connection) -> str:
        if row.revoked:
            return "being closed"
        return "open" if row.expires_at > now(row) else "at its end"

    def subscriptions(self, row: Connection) -> str:
        found = row.subscriptions.select_related("channel")[: SUBSCRIPTIONS + 1]
        more = render.list_link("All subscriptions", "subscription", connection=row.id)
        heads = ("Channel", "Since (UTC)", "Its own token says")
        return render.table(heads, [_cells(one) for one in found], SUBSCRIPTIONS, more)


def browser_name(agent: str) -> str:
    """Such as "Firefox 128 on Windows"; of an unknown user agent its beginning."""
    for name, pattern in BROWSERS:
        if found := pattern.search(agent):
            system = next((system for system in SYSTEMS if system in agent), "")
            on = f" on {SYSTEM_NAMES.get(system, system)}" if system else ""
            return f"{name} {found[1]}{on}"
    return render.one_line(agent, AGENT) or render.EMPTY


def explain_claims(payload: str, scope: str) -> str:
    """A token's claims in plain sentences; "" is no token."""
    if not payload:
        return render.EMPTY
    try:
        claims = parse_claims(payload.encode(), scope=scope)
    except TokenError as error:  # one that an older version of this server accepted
        return str(error)
    sentences = ((sentence,) for sentence in explain(claims))
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", sentences))


def _cells(row: Subscription) -> tuple[str, ...]:
    channel = render.page_link(row.channel.name, "channel", row.channel_id)
    return channel, render.timestamp(row.subscribed_at), explain_claims(row.claims, "subscribe")


# --- subscriptions ------------------------------------------------------------------------------


class SubscriptionFilters(Filters[Subscription]):
    channel = forms.CharField(required=False)
    connection = forms.CharField(required=False, label="Connection id")

    def scans(self, rows: QuerySet[Subscription]) -> Scans[Subscription]:
        conditions = self.conditions()
        if "channel" in conditions:
            rows = rows.filter(channel__name=conditions["channel"])
        if "connection" in conditions:
            rows = rows.filter(connection_id=conditions["connection"])
        return [IndexScan(rows)]


@admin.register(Subscription)
class SubscriptionAdmin(ChannelRowAdmin[Subscription]):
    filters = SubscriptionFilters
    list_display = ("since", "channel_page", "connection_page", "connection_uid")
    fields = ("channel_page", "connection_page", "connection_uid", "since", "rights")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        rows = super().get_queryset(request).select_related("connection")
        return rows.only("channel__name", "connection__uid", "subscribed_at", "claims")

    since = Column[Subscription]("since (UTC)", lambda row: render.timestamp(row.subscribed_at))
    connection_page = Column[Subscription](
        "connection",
        lambda row: render.page_link(row.connection_id, "connection", row.connection_id),
    )
    connection_uid = Column[Subscription](
        "uid of the connection", lambda row: row.connection.uid or render.EMPTY
    )
    rights = Column[Subscription](
        "its own token says", lambda row: explain_claims(row.claims, "subscribe")
    )


# --- nodes --------------------------------------------------------------------------------------


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin[Node]):
    list_display = ("process", "version", "started", "lease", "connections")
    fields = ("id", *list_display)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Node]:
        own = Connection.objects.filter(node_id=OuterRef("pk"))
        return with_counts(super().get_queryset(request), CONNECTIONS, held=own)

    process = Column[Node]("host and process", str)
    started = Column[Node]("started (UTC)", lambda row: render.timestamp(row.started_at))
    connections = Column[Counted]("connections", lambda row: render.capped(row.held, CONNECTIONS))

    @admin.display(description="lease until (UTC)")
    def lease(self, row: Node) -> str:
        state = "holds" if row.lease_until > now(row) else "ran out"
        return format_html("{} ({})", render.timestamp(row.lease_until), state)

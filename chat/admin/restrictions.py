"""Bans and revocations in force: who may, bans, revokes tokens and lifts bans here."""

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from chat import api
from chat.models import Restriction
from chat.protocol.restrictions import MAX_REASON_LENGTH

from . import render
from .base import Column, ReadOnlyAdmin, actor_of, now, row_action
from .paging import TIME, Filters, IndexScan, Scans, live

KINDS: Final = (("", "All"), ("ban", "Bans"), ("revocation", "Revocations"))
ACTS: Final = (("ban", "Ban"), ("revoke", "Revoke the tokens that were issued until now"))


class RestrictionFilters(Filters[Restriction]):
    kind = forms.ChoiceField(required=False, choices=KINDS)
    uid = forms.CharField(required=False, strip=False)
    address = forms.CharField(required=False)

    def scans(self, rows: QuerySet[Restriction]) -> Scans[Restriction]:
        """Those in force, the latest first."""
        conditions = self.conditions()
        residual, is_ban = live(), Q(jti="", issued_before=None)
        if uid := conditions.get("uid"):
            rows = rows.filter(uid=uid)
        if kind := conditions.get("kind"):
            residual &= is_ban if kind == "ban" else ~is_ban
        if address := conditions.get("address"):
            residual &= Q(address=address)
        return [IndexScan(rows, residual=residual)]


class RestrictionForm(forms.Form):
    """Whom to ban, or whose tokens to revoke."""

    act = forms.ChoiceField(choices=ACTS, initial="ban", widget=forms.RadioSelect, label="What")
    uid = forms.CharField(required=False, strip=False, max_length=128)
    address = forms.CharField(
        required=False, help_text="To ban; or a network, such as 192.0.2.0/24 or 2001:db8::/48."
    )
    channel = forms.CharField(
        required=False,
        strip=False,
        help_text="To ban a uid from this channel alone; empty: from all.",
    )
    until = forms.DateTimeField(
        required=False, label="Until (UTC)", widget=TIME, help_text="Empty: for good."
    )
    reason = forms.CharField(
        required=False, max_length=MAX_REASON_LENGTH, help_text="Of a ban; clients never see it."
    )

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        if said.get("act") == "revoke":
            for name in ("address", "channel", "reason"):
                if said.get(name):
                    self.add_error(name, "This goes with a ban.")
        return said

    def done(self, request: HttpRequest) -> str:
        """Does it, and says so; "": it was refused, and the form says why."""
        actor = actor_of(request)
        said = {name: value or None for name, value in self.cleaned_data.items()}
        act, until = said.pop("act"), said.pop("until")
        try:
            if act == "ban":
                return f"Ban {api.ban(**said, until=until, actor=actor)} is in force."
            count = api.revoke_tokens(uid=said["uid"] or "", expires_at=until, actor=actor)
            return f"Revoked. Connections that are closed for it: {count}."
        except api.ProtocolError as error:
            self.add_error(None, error.message)
            return ""


@admin.register(Restriction)
class RestrictionAdmin(ReadOnlyAdmin[Restriction]):
    filters = RestrictionFilters
    list_display = ("what", "whom", "where", "since", "until", "why")
    fields = ("id", "what", "whom", "where", "since", "until", "reason")
    actions = ("lift",)
    action_permission = "chat.delete_restriction"

    def has_add_permission(self, request: HttpRequest, obj: Restriction | None = None) -> bool:
        return request.user.has_perm("chat.add_restriction")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Outside of a transaction: it is in force when the list shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = RestrictionForm(request.POST or None, initial=request.GET.dict())
        if form.is_valid() and (sentence := form.done(request)):
            self.message_user(request, sentence, messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:chat_restriction_changelist"))
        context = {**self.admin_site.each_context(request), "title": "Ban, or revoke tokens"}
        context |= {"opts": self.opts, "form": form, "media": self.media}
        return TemplateResponse(request, "admin/chat/restriction/add_form.html", context)

    @row_action("Lift {}")
    def lift(self, request: HttpRequest, rows: QuerySet[Restriction]) -> None:
        """Bans; what is revoked stays so."""
        bans = list(rows.filter(live(), jti="", issued_before=None))
        for row in bans:
            api.unban(row.id, actor_of(request))
        self.log(request, bans, CHANGE, "Lifted.")
        self.message_user(request, f"Lifted {len(bans)} bans.", messages.SUCCESS)

    # --- columns ----------------------------------------------------------------------------

    since = Column[Restriction]("since (UTC)", lambda row: render.timestamp(row.created_at))
    until = Column[Restriction]("until", lambda row: render.expiry(row.expires_at, now(row)))
    why = Column[Restriction]("reason", lambda row: render.excerpt(row.reason))
    where = Column[Restriction]("channel", lambda row: row.channel or render.EMPTY)

    def what(self, row: Restriction) -> str:
        if row.is_ban:
            return "banned"
        return "token revoked" if row.jti else "tokens revoked"

    @admin.display(description="uid, address or jti")
    def whom(self, row: Restriction) -> str:
        if row.uid is None:
            return row.address or row.jti
        return render.list_link(row.uid, "restriction", uid=row.uid)

"""Bans and revocations: listed, made by a form and from connections, lifted."""

from typing import Any

import pytest
from django.test import Client

from chat.models import AuditEntry, Connection, Restriction
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page, list_url, page_url, tick

pytestmark = on_both

LIST = list_url("restriction")
ADD = LIST.replace("?", "add/")


def in_force() -> list[dict[str, Any]]:
    columns = "jti", "uid", "address", "channel", "reason"
    return list(Restriction.objects.in_force().order_by("id").values(*columns))


def acts() -> list[tuple[str, str, str | None]]:
    return list(AuditEntry.objects.order_by("id").values_list("actor", "action", "uid"))


def test_the_list_has_what_is_in_force(viewer: Client) -> None:
    stored.restriction("pam", expires_at=stored.ago(seconds=1))
    stored.restriction("jim", channel="chat-a", reason="spam", expires_at=stored.ahead(hours=2))
    stored.restriction(None, address="192.0.2.0/24")
    stored.restriction(None, jti="a-token")
    stored.restriction("kim", issued_before=1.0)
    page = Page(viewer, LIST)
    assert page.column("what") == ["tokens revoked", "token revoked", "banned", "banned"]
    assert page.column("whom") == ["kim", "a-token", "192.0.2.0/24", "jim"]
    assert (page.rows[3]["where"], page.rows[3]["why"]) == ("chat-a", "spam")
    for asked, found in (
        ({"kind": "ban"}, ["192.0.2.0/24", "jim"]),
        ({"kind": "revocation"}, ["kim", "a-token"]),
        ({"uid": "jim"}, ["jim"]),
        ({"address": "192.0.2.0/24"}, ["192.0.2.0/24"]),
    ):
        assert Page(viewer, list_url("restriction", **asked)).column("whom") == found


def test_a_ban_by_the_form(moderator: Client) -> None:
    said = {"act": "ban", "uid": "jim", "channel": "chat-a", "reason": "spam"}
    answer = moderator.post(ADD, {**said, "until": "2100-01-01T00:00"})
    assert "is in force" in Page(moderator, answer["Location"]).words
    [row] = in_force()
    assert row == {"jti": "", "uid": "jim", "address": "", "channel": "chat-a", "reason": "spam"}
    assert acts() == [("admin moderator", "ban", "jim")]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"act": "ban"}, "Either uid or address"),
        ({"act": "ban", "address": "10.0.0.0/7"}, "at most a /8"),
        ({"act": "ban", "address": "127.0.0.1"}, "FORWARDED_ALLOW_IPS"),
        ({"act": "ban", "uid": "jim", "until": "2001-01-01T00:00"}, "until lies in the past"),
        ({"act": "revoke"}, "uid must be text of 1"),
        ({"act": "revoke", "uid": "jim", "channel": "chat-a"}, "This goes with a ban."),
        ({"act": "another", "uid": "jim"}, "Select a valid choice"),
    ],
)
def test_what_the_form_refuses(moderator: Client, said: dict[str, str], word: str) -> None:
    answer = moderator.post(ADD, said)
    assert (answer.status_code, word in answer.content.decode()) == (200, True)
    assert in_force() == []
    assert acts() == []


def test_tokens_are_revoked_by_the_form(moderator: Client) -> None:
    stored.connection("jim", "{}")
    answer = moderator.post(ADD, {"act": "revoke", "uid": "jim"})
    assert answer.status_code == 302
    assert [row.uid for row in Restriction.objects.revocations()] == ["jim"]
    assert acts() == [("admin moderator", "revoke tokens", "jim")]


def test_bans_are_lifted(moderator: Client) -> None:
    ban, kept = stored.restriction("jim"), stored.restriction("kim", issued_before=1.0)
    tick(moderator, LIST, "lift", [ban.pk, kept.pk])
    assert [row["uid"] for row in in_force()] == ["kim"]
    assert acts() == [("admin moderator", "lift ban", "jim")]


def test_from_connections(moderator: Client) -> None:
    """A ban is confirmed in the form, which the action fills in."""
    jim, again = (stored.connection("jim") for _ in range(2))
    pam = stored.connection("pam", address="2001:db8::1")
    url = list_url("connection")
    tick(moderator, url, "revoke_tokens", [jim.pk, again.pk])
    assert [row.uid for row in Restriction.objects.revocations()] == ["jim"]
    form = tick(moderator, url, "ban_uid", [jim.pk, again.pk])["Location"]
    assert form == f"{ADD}?uid=jim"
    assert 'value="jim"' in Page(moderator, form).html
    assert not Restriction.objects.bans().exists()
    answer = tick(moderator, url, "ban_uid", [jim.pk, pam.pk])
    assert "of one uid" in Page(moderator, answer["Location"]).words
    chosen = {"CHANGE_FORM-action": "ban_address", "_selected_action": pam.pk, "index": "0"}
    form = moderator.post(page_url("connection", pam.pk), chosen)["Location"]
    assert 'value="2001:db8::/64"' in Page(moderator, form).html


def test_who_may_close_connections_may_not_ban(rows: str) -> None:
    closer = staff("closer", "view_connection", "view_restriction", "delete_connection")
    connection = stored.connection("jim")
    for action in ("revoke_tokens", "ban_uid", "ban_address"):
        tick(closer, list_url("connection"), action, [connection.pk])
    assert closer.get(ADD).status_code == 403
    assert not Restriction.objects.exists()
    assert not Connection.objects.filter(revoked=True).exists()

"""The live page's view: who may look, and what it asks the database."""

import pytest
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.actions import live
from chat.actions.live import LiveClaims, claims_of, is_ticket
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page
from tests.support.configuring import Setter
from tokens.claims import TokenError, parse_claims
from tokens.permissions import grants

PAGE, TICKET = "/admin/chat/live/", "/admin/chat/live/ticket/"


def test_who_may_see_connections_finds_it_on_the_front_page(rows: str) -> None:
    client = staff("viewer", "view_connection")
    assert Page(client, "/admin/").link("Live page") == PAGE
    assert Page(client, "/admin/chat/").link("Live page") == PAGE
    assert client.post(TICKET).status_code == 200


def test_nobody_else_gets_the_page_or_a_ticket(rows: str) -> None:
    client = staff("other", "view_node", "view_channel", "view_message")
    assert Page(client, "/admin/").link("Live page") is None
    assert client.get(PAGE).status_code == client.post(TICKET).status_code == 403
    assert Client().get(PAGE).status_code == Client().post(TICKET).status_code == 302


def test_a_ticket_is_given_to_the_page_alone(rows: str) -> None:
    client = staff("viewer", "view_connection")
    assert client.get(TICKET).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(TICKET).status_code == 403


@on_both
def test_it_asks_once_beside_what_a_login_takes(rows: str) -> None:
    for _ in range(20):
        stored.connection()
    client = staff("viewer", "view_connection")
    for address, most in ((PAGE, 1), (TICKET, 0)):
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(address) if address == PAGE else client.post(address)
        assert answer.status_code == 200
        own = [each["sql"] for each in captured.captured_queries if '"chat_' in each["sql"]]
        assert len(own) == most, own


def test_processes_are_named(rows: str) -> None:
    node = stored.connection().node
    client = staff("viewer", "view_connection")
    assert f"{node.host}, process {node.pid}" in Page(client, PAGE).words


def test_an_origin_that_the_server_refuses_is_named(rows: str, set_chat: Setter) -> None:
    client = staff("viewer", "view_connection")
    said = "ALLOWED_ORIGINS does not have http://testserver"
    assert said not in Page(client, PAGE).words
    set_chat(ALLOWED_ORIGINS=["https://www.example.org"])
    assert said in Page(client, PAGE).words


# --- tickets ------------------------------------------------------------------------------------


def test_a_ticket_allows_to_look_and_its_payload_nothing() -> None:
    ticket = live.ticket()
    assert is_ticket(ticket)
    claims = claims_of(ticket, 1000.0)
    assert isinstance(claims, LiveClaims)
    assert grants(claims).auto_channels() == (live.LIVE,)
    assert grants(claims).channel(live.LIVE).subscribe
    rights = grants(claims).message(live.LIVE, "process")
    assert not rights.publish
    assert not rights.broadcast
    again = parse_claims(claims.payload.encode(), scope="connect")
    assert again.exp == 1000 + live.LOOK_SECONDS
    assert not grants(again).channel(live.LIVE).subscribe


def test_what_is_no_ticket_is_refused() -> None:
    for other in (
        live.PREFIX,
        live.PREFIX + signing.dumps("", salt="another"),
        live.PREFIX + signing.dumps("", salt=live.SALT, key="another key"),
        live.ticket()[:-1],
    ):
        with pytest.raises(TokenError, match="must be a ticket"):
            claims_of(other, 0.0)


def test_an_old_ticket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = live.ticket()
    monkeypatch.setattr(live, "TICKET_SECONDS", -1)
    with pytest.raises(TokenError):
        claims_of(ticket, 0.0)

"""Connections: who, since when, from where, with which rights; closing them; never a secret."""

import json
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.test import Client

from chat.models import Connection
from tests.admin import stored
from tests.admin.reading import Page, list_url, page_url, tick

CLAIMS: dict[str, Any] = {
    "exp": 2_000_000_000,
    "scope": "connect",
    "uid": "jim",
    "jti": "a-jti-of-its-own",
    "channels": {"chat-*": {"subscribe": True, "messages": {"chat": {"publish": True}}}},
}
LIST = list_url("connection")


def test_a_row_says_who_since_when_and_from_where(viewer: Client) -> None:
    connection = stored.connection("jim")
    stored.subscription(connection, "chat-a")
    stored.subscription(connection, "chat-b")
    [row] = Page(viewer, LIST).rows
    assert row == {
        "id": connection.id,
        "user": "jim",
        "since": f"{stored.NOW:%Y-%m-%d %H:%M:%S}",
        "address": "192.0.2.7",
        "browser": "Firefox 128 on Linux",
        "subscribed": "2",
        "state": "open",
    }


def test_the_latest_is_first(viewer: Client) -> None:
    for minute in (2, 0, 1):
        stored.connection(f"user-{minute}", connected_at=stored.ago(minutes=minute))
    assert Page(viewer, LIST).column("user") == ["user-0", "user-1", "user-2"]


def test_a_search_finds_a_uid_an_address_or_an_id(viewer: Client) -> None:
    jim, pam = stored.connection("jim"), stored.connection("pam", address="2001:db8::1")
    for sought, found in (("jim", jim), ("2001:db8::1", pam), (pam.id, pam)):
        assert Page(viewer, list_url("connection", q=sought)).column("id") == [found.id]


def test_a_page_says_in_words_what_its_tokens_say(viewer: Client) -> None:
    connection = stored.connection("jim", json.dumps(CLAIMS))
    own = {"exp": 2_000_000_000, "scope": "subscribe", "channels": {"chat-x": {"getInfo": True}}}
    stored.subscription(connection, "chat-x", json.dumps(own))
    stored.subscription(connection, "chat-y")
    fields = Page(viewer, page_url("connection", connection.id)).fields
    assert 'It may subscribe to channels that fit "chat-*".' in fields["rights"]
    lines = " ".join(fields["subscriptions"].split())
    assert 'It may ask how many listen to the channel "chat-x".' in lines
    assert "chat-y" in lines


def test_claims_that_cannot_be_read_are_no_error(viewer: Client) -> None:
    connection = stored.connection("jim", "{")
    assert "is not JSON" in Page(viewer, page_url("connection", connection.id)).fields["rights"]


def test_no_secret_and_no_token_is_anywhere(root: Client) -> None:
    """Not on a page, in a link, in the log, in the history, nor to be found by asking."""
    connection = stored.connection("jim", json.dumps(CLAIMS))
    stored.subscription(connection, "chat-a", json.dumps(CLAIMS | {"scope": "subscribe"}))
    tick(root, LIST, "close_selected", [connection.id])
    for url in (
        LIST,
        page_url("connection", connection.id),
        page_url("connection", connection.id, "history"),
        list_url("subscription"),
        page_url("subscription", connection.subscriptions.get().pk),
        page_url("node", connection.node_id),
        "/admin/",
    ):
        html = Page(root, url).html
        assert connection.secret_hash not in html
        assert CLAIMS["jti"] not in html
    for lookup in ("secret_hash", "secret_hash__startswith", "claims__contains"):
        asked = {lookup: connection.secret_hash[:4]}
        assert root.get(list_url("connection", **asked)).status_code == 302
    [entry] = LogEntry.objects.all()
    assert connection.secret_hash not in f"{entry.object_repr}{entry.change_message}"


def test_closing_marks_the_ticked_for_their_node(moderator: Client) -> None:
    kept, *closed = [stored.connection(f"user-{number}") for number in range(3)]
    answer = tick(moderator, LIST, "close_selected", [row.id for row in closed])
    page = Page(moderator, answer["Location"])
    assert "2 connections will be closed within seconds." in page.words
    assert sorted(page.column("state")) == ["being closed", "being closed", "open"]
    assert list(Connection.objects.live()) == [kept]
    entries = LogEntry.objects.all()
    assert {entry.object_id for entry in entries} == {row.id for row in closed}
    assert {(entry.user.username, entry.action_flag) for entry in entries} == {
        ("moderator", CHANGE)
    }


def test_closing_from_its_page_and_once_only(moderator: Client) -> None:
    connection = stored.connection()
    url = page_url("connection", connection.id)
    chosen = {"CHANGE_FORM-action": "close_selected", "_selected_action": connection.id}
    for _ in range(2):
        answer = moderator.post(url, {**chosen, "index": "0"})
        assert answer.status_code == 302
    assert "being closed" in Page(moderator, url).fields["state"]
    assert LogEntry.objects.count() == 1


def test_more_subscriptions_than_a_page_shows_are_a_click_away(viewer: Client) -> None:
    connection = stored.connection()
    for number in range(101):
        stored.subscription(connection, f"chat-{number}")
    page = Page(viewer, page_url("connection", connection.id))
    assert Page(viewer, LIST).column("subscribed") == ["100+"]
    link = page.link("All subscriptions")
    assert link
    assert len(Page(viewer, link).rows) == 100

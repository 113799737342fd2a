"""Channels, reactions, subscriptions and nodes."""

import pytest
from django.test import Client

from chat.admin import channels
from chat.models import Channel, Node
from tests.admin import stored
from tests.admin.conftest import on_both
from tests.admin.reading import Page, list_url, page_url

pytestmark = on_both


# --- channels -----------------------------------------------------------------------------------


def test_a_channel_says_what_it_holds_and_who_listens(viewer: Client) -> None:
    last, *_ = stored.messages(3)
    stored.subscription(stored.connection())
    stored.subscription(stored.connection(revoked=True))
    stored.subscription(stored.connection(expires_at=stored.ago(seconds=1)))
    Channel.objects.update(last_message_id=last.id)
    page = Page(viewer, list_url("channel"))
    assert page.rows == [
        {
            "name": "chat-abc",
            "last_message": f"{stored.NOW:%Y-%m-%d %H:%M:%S}",
            "messages": "3",
            "live_subscriptions": "1",
            "history": "Messages",
        }
    ]
    assert len(Page(viewer, page.link("Messages") or "").rows) == 3
    assert len(Page(viewer, page.link("1") or "").rows) == 3  # those that end, too


def test_a_channel_without_messages(viewer: Client) -> None:
    channel = stored.channel()
    [row] = Page(viewer, list_url("channel")).rows
    assert (row["last_message"], row["messages"], row["live_subscriptions"]) == ("–", "0", "0")
    assert "chat-abc" in Page(viewer, page_url("channel", channel.pk)).fields["name"]


def test_counting_ends_at_the_cap(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "LIST_CAP", 5)
    monkeypatch.setattr(channels, "PAGE_CAP", 8)
    stored.messages(10)
    channel = Channel.objects.get()
    assert Page(viewer, list_url("channel")).column("messages") == ["5+"]
    assert "8+" in Page(viewer, page_url("channel", channel.pk)).fields["messages"]


def test_channels_are_in_the_order_of_their_names_by_code_point(viewer: Client) -> None:
    for name in ("b", "a", "B", "é", "chat_1", "chat-1", "😀"):
        stored.channel(name)
    named = Page(viewer, list_url("channel")).column("name")
    assert named == sorted(named)
    assert len(named) == 7


@pytest.mark.parametrize(
    ("beginning", "found"),
    [
        ("chat", ["chat", "chat-1", "chat_1", "chat😀"]),
        ("chat-", ["chat-1"]),
        ("chat_", ["chat_1"]),
        ("CHAT", []),
        ("%", []),
        ("hat", []),
    ],
)
def test_a_search_is_the_beginning_of_a_name(
    viewer: Client, beginning: str, found: list[str]
) -> None:
    for name in ("chat", "chat-1", "chat_1", "chat😀", "chbt", "Chat"):
        stored.channel(name)
    assert Page(viewer, list_url("channel", q=beginning)).column("name") == found


# --- reactions ----------------------------------------------------------------------------------


def test_reactions_of_a_message_and_of_a_channel(viewer: Client) -> None:
    first, second = stored.message(), stored.message(to="chat-b")
    stored.reaction(first, "pam", "👍", created_at=stored.ago(hours=1))
    stored.reaction(first, "ann", "❤️", removed=True)
    stored.reaction(second, "eve", "👎")
    assert Page(viewer, list_url("reaction")).column("user") == ["eve", "ann", "pam"]
    rows = Page(viewer, list_url("reaction", message=first.id)).rows
    assert [(row["reaction"], row["user"], row["state"]) for row in rows] == [
        ("❤️", "ann", "taken back"),
        ("👍", "pam", "stands"),
    ]
    assert rows[1]["time"] == f"{stored.ago(hours=1):%Y-%m-%d %H:%M:%S}"
    listed = Page(viewer, list_url("reaction", channel="chat-b"))
    assert listed.column("message_page") == [second.id]
    assert Page(viewer, list_url("reaction", channel="chat-none")).rows == []
    assert Page(viewer, listed.link(second.id) or "").fields["id"]


def test_pages_of_a_channels_reactions(viewer: Client) -> None:
    messages = stored.messages(130)
    for message in messages:
        stored.reaction(message)
    page = Page(viewer, list_url("reaction", channel="chat-abc"))
    onward = f"{list_url('reaction')[:-1]}{page.link('Next page')}"
    shown = [*page.column("message_page"), *Page(viewer, onward).column("message_page")]
    assert shown == [message.id for message in reversed(messages)]


# --- subscriptions and nodes --------------------------------------------------------------------


def test_subscriptions_of_a_channel_and_of_a_connection(viewer: Client) -> None:
    jim, pam = stored.connection("jim"), stored.connection("pam")
    stored.subscription(jim, "chat-a")
    stored.subscription(jim, "chat-b")
    stored.subscription(pam, "chat-a")
    by_channel = Page(viewer, list_url("subscription", channel="chat-a"))
    assert sorted(by_channel.column("connection_uid")) == ["jim", "pam"]
    by_connection = Page(viewer, list_url("subscription", connection=jim.id))
    assert sorted(by_connection.column("channel_page")) == ["chat-a", "chat-b"]


def test_a_node_says_whether_it_lives(viewer: Client) -> None:
    stored.connection()
    [row] = Page(viewer, list_url("node")).rows
    assert (row["process"], row["version"], row["connections"]) == ("web-1:4242", "0.1.0", "1")
    assert row["lease"].endswith("(holds)")
    Node.objects.update(lease_until=stored.ago(seconds=1))
    assert Page(viewer, list_url("node")).column("lease")[0].endswith("(ran out)")

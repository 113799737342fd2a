"""Hiding messages, deleting many of them and erasing a person, in the admin."""

import re

from django.test import Client

from chat.models import AuditEntry, Deletion, Message, Reaction
from chat.store.outbox import TakeEntries
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page, list_url, tick
from tests.support.written import do

pytestmark = on_both

LIST = list_url("message")
DELETE, ERASE = "/admin/chat/message/delete", "/admin/chat/message/erase"


def read(answer: object) -> str:
    """The whole of a page that arrives bit by bit."""
    return b"".join(answer).decode()  # type: ignore[call-overload]


def test_moderators_see_what_is_hidden_marked_and_show_it_again(moderator: Client) -> None:
    kept, hidden = stored.messages(2)
    tick(moderator, LIST, "hide_selected", [hidden.id])
    do(TakeEntries("chat-abc"))
    assert list(Message.objects.live()) == [kept]
    assert Deletion.objects.get().message_id == hidden.id
    assert Page(moderator, LIST).column("expiry") == ["never", "hidden; never"]
    page = Page(moderator, list_url("message", state="hidden", channel="chat-abc"))
    assert page.column("excerpt") == ['"1"']
    assert len(Page(moderator, list_url("message", state="live")).rows) == 1
    tick(moderator, LIST, "show_selected", [hidden.id, kept.id])
    do(TakeEntries("chat-abc"))
    assert set(Message.objects.live()) == {kept, hidden}
    assert not Deletion.objects.exists()
    acts = AuditEntry.objects.order_by("id").values_list("actor", "action", "uid")
    assert list(acts) == [
        ("admin moderator", "hide message", "jim"),
        ("admin moderator", "show message", "jim"),
    ]


def test_a_look_says_how_many_would_go_and_shows_some(moderator: Client) -> None:
    stored.messages(30, uid="eve")
    stored.message("1", to="elsewhere", uid="eve")
    stored.message("2")
    form = Page(
        moderator, Page(moderator, list_url("message", uid="eve")).link("Delete many…") or ""
    )
    assert "31 messages would go" in form.words
    assert form.html.count("<bdi>") == 10
    answer = moderator.post(DELETE, {"uid": "eve"})
    assert "Deleted 31 of 31 messages. Done." in read(answer)
    assert [row.data for row in Message.objects.all()] == ["2"]
    assert Deletion.objects.count() == 31
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.uid) == (
        *("admin moderator", "delete messages"),
        "eve",
    )


def test_of_a_channel_in_a_time(moderator: Client) -> None:
    early, late = stored.message(at=stored.ago(days=3)), stored.message(at=stored.ago(days=1))
    stored.message(to="elsewhere", at=stored.ago(days=3))
    until = f"{stored.ago(days=2):%Y-%m-%dT%H:%M}"
    read(moderator.post(DELETE, {"channel": "chat-abc", "until": until}))
    assert not Message.objects.filter(id=early.id).exists()
    assert Message.objects.filter(id=late.id).exists()
    assert Message.objects.count() == 2


def test_whose_must_be_said(moderator: Client) -> None:
    stored.message()
    for asked in ({"uid": "", "channel": ""}, {"until": "2030-01-01T00:00"}, {"channel": "a b"}):
        assert "errorlist" in Page(moderator, f"{DELETE}?uid=&x=1").html
        assert b"errorlist" in moderator.post(DELETE, asked).content
    assert b"errorlist" in moderator.post(ERASE, {"uid": ""}).content
    assert Message.objects.exists()


def test_a_person_is_erased(moderator: Client) -> None:
    message = stored.message(uid="pam")
    stored.message(uid="eve")
    stored.reaction(message, "eve")
    stored.entry(uid="eve")
    found = Page(moderator, f"{ERASE}?uid=eve")
    assert re.search(r"messages 1 .*reactions 1 .*storage entries 1 ", found.words)
    assert "rows of eve" in read(moderator.post(ERASE, {"uid": "eve"}))
    assert list(Message.objects.all()) == [message]
    assert not Reaction.objects.exists()
    assert "0 are left" not in found.words
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.uid != "eve") == (
        *("admin moderator", "erase user"),
        True,
    )


def test_who_may_not_is_refused(viewer: Client) -> None:
    message = stored.message()
    deleter = staff("deleter", "view_message", "delete_message")
    for client, address in ((viewer, DELETE), (viewer, ERASE), (deleter, ERASE)):
        assert client.get(address).status_code == 403
        assert client.post(address, {"uid": "jim"}).status_code == 403
    assert tick(viewer, LIST, "hide_selected", [message.id]).status_code == 403
    assert Message.objects.live().exists()

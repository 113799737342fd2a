"""Deleting messages: with their reactions, as many as are ticked, and the log knows of each."""

import json
import threading
from typing import Any

from django.contrib.admin.models import DELETION, LogEntry
from django.db import connection, transaction
from django.test import Client

from chat.admin.messages import MessageAdmin
from chat.models import AuditEntry, Channel, Deletion, Message, OutboxEntry, Reaction
from chat.store.outbox import TakeEntries
from tests.admin import stored
from tests.admin.conftest import on_both
from tests.admin.reading import Page, list_url, page_url, tick
from tests.support.written import do

pytestmark = on_both

LIST = list_url("message")


def test_a_confirmation_says_how_many_of_what(moderator: Client) -> None:
    messages = stored.messages(3)
    for message in messages[:2]:
        stored.reaction(message, "pam")
        stored.reaction(message, "ann")
    stored.reaction(messages[0], "eve", removed=True)
    answer = tick(moderator, LIST, "delete_selected", [row.id for row in messages[:2]])
    text = " ".join(answer.content.decode().split())
    assert "<li>Messages: 2</li>" in text
    assert "<li>Reactions: 4</li>" in text
    assert "chat by jim in chat-abc: &quot;0&quot;" in text
    assert Message.objects.count() == 3


def test_the_ticked_go_with_their_reactions_and_no_others(moderator: Client) -> None:
    kept, *gone = stored.messages(3)
    for message in (kept, *gone):
        stored.reaction(message)
        stored.reaction(message, "eve", removed=True)
    answer = tick(moderator, LIST, "delete_selected", [row.id for row in gone], post="yes")
    assert answer.status_code == 302
    do(TakeEntries("chat-abc"))
    assert "Successfully deleted 2 messages." in Page(moderator, answer["Location"]).words
    assert list(Message.objects.all()) == [kept]
    assert set(Reaction.objects.values_list("message_id", flat=True)) == {kept.id}


def test_the_log_says_who_deleted_whose_message_where(moderator: Client) -> None:
    first, second = stored.messages(2, uid="eve")
    tick(moderator, LIST, "delete_selected", [first.id], post="yes")
    moderator.post(page_url("message", second.id, "delete"), {"post": "yes"})
    do(TakeEntries("chat-abc"))
    assert not Message.objects.exists()
    entries = LogEntry.objects.order_by("id")
    assert [entry.object_id for entry in entries] == [first.id, second.id]
    for entry in entries:
        assert (entry.user.username, entry.action_flag) == ("moderator", DELETION)
        assert entry.object_repr.endswith("chat by eve in chat-abc")
        assert '"0"' not in entry.object_repr


def test_one_message_from_its_page(moderator: Client) -> None:
    message = stored.message(uid="eve")
    stored.reaction(message)
    listed = list_url("message", uid="eve")
    page = Page(moderator, Page(moderator, listed).link(f"{stored.NOW:%Y-%m-%d %H:%M:%S}") or "")
    confirmation = Page(moderator, page.link("Delete") or "")
    assert "Messages: 1" in confirmation.words
    assert "Reactions: 1" in confirmation.words
    answer = moderator.post(page.link("Delete") or "", {"post": "yes"})
    assert (answer.status_code, answer["Location"]) == (302, listed)
    do(TakeEntries("chat-abc"))
    assert not Message.objects.exists()


def test_a_whole_page_at_once(moderator: Client) -> None:
    messages = stored.messages(130)
    ids = [row.id for row in messages[:100]]
    tick(moderator, LIST, "delete_selected", ids, post="yes")
    do(TakeEntries("chat-abc"))
    assert Message.objects.count() == 30
    assert LogEntry.objects.count() == 100


def test_there_is_no_more_than_the_page_to_select(moderator: Client) -> None:
    messages = stored.messages(130)
    html = Page(moderator, LIST).html
    assert "Select all 1" not in html
    forged = {"post": "yes", "select_across": "1"}
    tick(moderator, LIST, "delete_selected", [messages[0].id], **forged)
    tick(moderator, LIST, "delete_selected", [], **forged)
    do(TakeEntries("chat-abc"))
    assert Message.objects.count() == 129


def test_what_another_has_deleted_is_no_error(moderator: Client) -> None:
    kept, gone = stored.messages(2)
    gone.delete()
    answer = tick(moderator, LIST, "delete_selected", ["nothing", gone.id, kept.id], post="yes")
    assert answer.status_code == 302
    do(TakeEntries("chat-abc"))
    assert not Message.objects.exists()


def test_of_what_has_expired_the_row_goes(moderator: Client) -> None:
    """Nobody sees it any more, so nobody hears of it; the audit log does."""
    expired, live = stored.messages(2)
    Message.objects.filter(id=expired.id).update(expires_at=stored.ago(seconds=1))
    stored.reaction(expired)
    tick(moderator, LIST, "delete_selected", [expired.id, live.id], post="yes")
    do(TakeEntries("chat-abc"))
    assert not Message.objects.exists()
    assert list(Deletion.objects.values_list("message_id", flat=True)) == [live.id]
    assert not OutboxEntry.objects.exists()
    told = AuditEntry.objects.filter(action="delete message", uid="jim", channel="chat-abc")
    details = [json.loads(entry.detail)["message"] for entry in told]
    assert sorted(details) == sorted([expired.id, live.id])


def test_what_fails_is_not_in_the_log(moderator: Client, monkeypatch: Any) -> None:
    """The log and the deletion are one."""
    message = stored.message()
    monkeypatch.setattr(MessageAdmin, "delete_queryset", fail)
    moderator.raise_request_exception = False
    assert tick(moderator, LIST, "delete_selected", [message.id], post="yes").status_code == 500
    assert LogEntry.objects.count() == 0


def fail(*_: Any) -> None:
    raise RuntimeError("the database went away")


def test_it_comes_after_whoever_writes_in_the_channel(moderator: Client, database: str) -> None:
    """And takes along a reaction that was being stored. On PostgreSQL nobody waits for that: the
    deletion waits in the outbox."""
    message = stored.message()
    stored.message(to="chat-other")
    deleting = threading.Thread(target=delete, args=(moderator, message.id))
    with transaction.atomic():
        Channel.objects.select_for_update(no_key=True).get(name="chat-abc")
        deleting.start()
        deleting.join(0.3 if database == "sqlite" else 10)
        assert deleting.is_alive() is (database == "sqlite")
        stored.reaction(message)
        Channel.objects.update(number=99)
    deleting.join(10)
    do(TakeEntries("chat-abc"))
    assert Deletion.objects.get().number == 100
    assert Reaction.objects.count() == 0
    assert [row.channel.name for row in Message.objects.all()] == ["chat-other"]


def delete(client: Client, id: str) -> None:
    try:
        tick(client, LIST, "delete_selected", [id], post="yes")
    finally:
        connection.close()

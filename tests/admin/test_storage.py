"""What channels keep: found by channel, shown as text, deleted as the server API clears it."""

import threading
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.db import connection, transaction
from django.test import Client

from chat.admin import paging
from chat.models import Channel, StorageEntry
from chat.store.outbox import TakeEntries
from tests.admin import stored
from tests.admin.conftest import on_both
from tests.admin.reading import Page, list_url, page_url, tick
from tests.support.written import do

pytestmark = on_both

LIST = list_url("storageentry")
SCRIPT = '{"n":18446744073709551616,"html":"<script>alert(1)</script>"}'


def test_a_row_says_what_is_kept_where_by_whom(viewer: Client) -> None:
    stored.entry("topic", '"' + "x" * 5000 + '"', expires_at=stored.ahead(hours=5, minutes=1))
    stored.entry("title", "7", by_server=True, uid=None)
    stored.entry("note", "[1,\n 2]", uid=None, to="chat-b")
    note, title, topic = Page(viewer, LIST).rows
    assert note == {
        "key": "note",
        "channel_name": "chat-b",
        "writer": "–",
        "excerpt": "[1, 2]",
        "expiry": "never",
    }
    assert (title["writer"], topic["writer"]) == ("(server API)", "jim")
    assert topic["excerpt"] == '"' + "x" * 99 + "…"
    assert topic["expiry"] == "in 5 h"


def test_what_is_cleared_or_has_expired_is_not_listed(viewer: Client) -> None:
    for columns in ({"data": ""}, {"expires_at": stored.ago(seconds=1)}, {}):
        stored.entry(f"k{len(columns)}", to=f"chat-{next(stored.numbers)}", **columns)
    assert Page(viewer, LIST).column("key") == ["k0"]
    assert Page(viewer, list_url("storageentry", q="chat")).column("key") == ["k0"]
    StorageEntry.objects.update(data="")
    assert "Nothing here." in Page(viewer, LIST).words


def test_a_page_shows_the_value_as_text(viewer: Client) -> None:
    entry = stored.entry("topic", SCRIPT, umd='{"a":1}', expires_at=stored.ahead(days=2, hours=1))
    page = Page(viewer, page_url("storageentry", entry.pk))
    assert '\n  "n": 18446744073709551616,\n' in page.fields["content"]
    assert "<script>alert(1)" in page.fields["content"]
    assert "<script>alert(1)" not in page.html
    assert '"a": 1' in page.fields["metadata"]
    assert f"in 2 d ({stored.ahead(days=2, hours=1):%Y-%m-%d %H:%M:%S})" in " ".join(
        page.fields["expiry_time"].split()
    )


# --- finding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["é", "4", "3", "2", "1"]),
        ({"channel": "chat-1"}, ["1", "3"]),
        ({"channel": "chat"}, []),
        ({"channel": "none"}, []),
        ({"q": "chat-"}, ["1", "3", "2"]),
        ({"q": "chat-1"}, ["1", "3", "2"]),
        ({"q": "chat-10"}, ["2"]),
        ({"q": "CHAT"}, []),
        ({"q": "%"}, []),
        ({"q": "chat", "channel": "chat-1"}, ["1", "3"]),
        ({"q": "chat-10", "channel": "chat-1"}, []),
    ],
)
def test_what_can_be_asked(viewer: Client, asked: dict[str, str], found: list[str]) -> None:
    for key, name in zip("1234é", ("chat-1", "chat-10", "chat-1", "Chat", "a"), strict=True):
        stored.entry(key, to=name)
    assert Page(viewer, list_url("storageentry", **asked)).column("key") == found


@pytest.mark.parametrize("asked", [{}, {"channel": "a~b"}, {"q": "a"}])
def test_each_entry_is_on_one_page_there_and_back(viewer: Client, asked: dict[str, str]) -> None:
    """Names and keys may hold whatever else a link uses."""
    with transaction.atomic():
        for number in range(130):
            stored.entry(f"k~{number:03}", to="a~b")
        for number in range(130 * (asked != {"channel": "a~b"})):
            stored.entry("k", to=f"a~{number}")
    pages, page = [], Page(viewer, list_url("storageentry", **asked))
    while onward := page.link("Next page"):
        pages.append(page.rows)
        page = Page(viewer, f"{LIST[:-1]}{onward}")
        assert page.rows not in pages
    pages.append(page.rows)
    shown = [(row["channel_name"], row["key"]) for rows in pages for row in rows]
    assert len(set(shown)) == len(shown) == StorageEntry.objects.count()
    if asked:
        assert shown == sorted(shown)
    back = page.link("Previous page")
    assert Page(viewer, f"{LIST[:-1]}{back}").rows == pages[-2]


def test_a_search_looks_at_so_many_channels_and_offers_to_go_on(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "SCAN_LIMIT", 5)
    for number in range(12):
        stored.channel(f"chat-{number:02}")
    stored.entry("last", to="chat-11")
    page, looked = Page(viewer, list_url("storageentry", q="chat")), set()
    while (onward := page.link("Look further")) and onward not in looked:
        assert page.rows == []
        looked.add(onward)
        page = Page(viewer, f"{LIST[:-1]}{onward}")
    assert page.column("key") == ["last"]
    assert len(looked) == 2


def test_a_channel_leads_to_what_it_keeps(viewer: Client) -> None:
    entry = stored.entry(to="chat-b")
    stored.entry(to="chat-c")
    page = Page(viewer, page_url("channel", entry.channel_id))
    listed = Page(viewer, page.link("What it keeps") or "")
    assert listed.column("channel_name") == ["chat-b"]


# --- deleting -----------------------------------------------------------------------------------


def test_a_confirmation_says_what_will_be_gone(moderator: Client) -> None:
    entries = [stored.entry(key, f'"secret of {key}"') for key in ("a", "b", "c")]
    answer = tick(moderator, LIST, "delete_selected", [row.pk for row in entries[:2]])
    text = " ".join(answer.content.decode().split())
    assert "<li>Storage entries: 2</li>" in text
    assert "a by jim in chat-abc: &quot;secret of a&quot;" in text
    assert StorageEntry.objects.live().count() == 3


def test_what_is_deleted_is_a_change_of_its_channel(moderator: Client) -> None:
    """Whoever was away learns of it by its number, as of any other that was cleared."""
    kept, *gone = [stored.entry(key, to=f"chat-{key}") for key in ("b", "c", "a")]
    Channel.objects.update(number=41)
    answer = tick(moderator, LIST, "delete_selected", [row.pk for row in gone], post="yes")
    do(TakeEntries("chat-c"), TakeEntries("chat-a"))
    page = Page(moderator, answer["Location"])
    assert "Successfully deleted 2 storage entries." in page.words
    assert page.column("key") == ["b"]
    for row in gone:
        row.refresh_from_db()
        assert (row.data, row.uid, row.number, row.channel.number) == ("", None, 42, 42)
    assert list(StorageEntry.objects.live()) == [kept]
    assert Channel.objects.get(name="chat-b").number == 41


def test_one_entry_from_its_page(moderator: Client) -> None:
    entry = stored.entry("topic")
    listed = list_url("storageentry", channel="chat-abc")
    page = Page(moderator, Page(moderator, listed).link("topic") or "")
    answer = moderator.post(page.link("Delete") or "", {"post": "yes"})
    assert (answer.status_code, answer["Location"]) == (302, listed)
    do(TakeEntries("chat-abc"))
    assert not StorageEntry.objects.live().exists()
    page = Page(moderator, page_url("storageentry", entry.pk))
    assert "cleared" in page.fields["expiry_time"]
    assert "kept" not in page.fields["content"]


def test_the_log_says_who_deleted_what_where(moderator: Client) -> None:
    entry = stored.entry("topic", '"a secret"', uid="eve")
    tick(moderator, LIST, "delete_selected", [entry.pk], post="yes")
    [logged] = LogEntry.objects.all()
    assert (logged.user.username, logged.action_flag) == ("moderator", DELETION)
    assert (logged.object_id, logged.object_repr) == (str(entry.pk), "topic by eve in chat-abc")


def test_it_comes_after_whoever_writes_in_the_channel(moderator: Client, database: str) -> None:
    """On PostgreSQL nobody waits for that: the deletion waits in the outbox."""
    entry = stored.entry()
    deleting = threading.Thread(target=delete, args=(moderator, entry.pk))
    with transaction.atomic():
        Channel.objects.select_for_update(no_key=True).get(name="chat-abc")
        deleting.start()
        deleting.join(0.3 if database == "sqlite" else 10)
        assert deleting.is_alive() is (database == "sqlite")
        Channel.objects.update(number=99)
    deleting.join(10)
    do(TakeEntries("chat-abc"))
    entry.refresh_from_db()
    assert (entry.data, entry.number) == ("", 100)


def delete(client: Client, key: Any) -> None:
    try:
        tick(client, LIST, "delete_selected", [key], post="yes")
    finally:
        connection.close()

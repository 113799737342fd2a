"""What is to be done later: shown in the order of its time; cancelled, or done, never both."""

import threading
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.db import connection, transaction
from django.test import Client

from chat.admin import paging
from chat.models import Schedule
from tests.admin import stored
from tests.admin.conftest import on_both
from tests.admin.reading import Page, list_url, page_url, tick

pytestmark = on_both

LIST = list_url("schedule")
SERVER: dict[str, Any] = {"uid": None, "meta": None}


def test_a_list_says_what_is_done_when_for_whom(viewer: Client) -> None:
    stored.schedule('"later"', at=stored.ahead(hours=5, minutes=1))
    stored.schedule("[" + "1," * 500 + "1]", at=stored.ahead(hours=2, minutes=1), key="topic")
    stored.schedule("null", at=stored.ago(seconds=1), to="chat-b", event="bell", **SERVER)
    rows = Page(viewer, LIST).rows
    assert rows[0] == {
        "due": f"{stored.ago(seconds=1):%Y-%m-%d %H:%M:%S}",
        "left": "due",
        "channel_name": "chat-b",
        "what": "message bell",
        "sender": "(server API)",
        "excerpt": "null",
    }
    assert [row["left"] for row in rows[1:]] == ["in 2 h", "in 5 h"]
    assert [row["what"] for row in rows[1:]] == ["storage entry topic", "message chat"]
    assert [row["sender"] for row in rows[1:]] == ["jim", "jim"]
    assert rows[1]["excerpt"] == ("[" + "1," * 500)[:100] + "…"


def test_nothing_is_a_state_too(viewer: Client) -> None:
    for asked in ({}, {"channel": "chat-abc"}, {"q": "chat"}):
        assert "Nothing here." in Page(viewer, list_url("schedule", **asked)).words


def test_a_page_shows_the_data_as_text(viewer: Client) -> None:
    script = '{"n":18446744073709551616,"html":"<script>alert(1)</script>"}'
    schedule = stored.schedule(script, store=86_400, umd='{"a":1}')
    page = Page(viewer, page_url("schedule", schedule.id))
    assert '\n  "n": 18446744073709551616,\n' in page.fields["content"]
    assert "<script>alert(1)" in page.fields["content"]
    assert "<script>alert(1)" not in page.html
    assert '"a": 1' in page.fields["umd"]
    assert "86,400 s" in page.fields["retention"]
    assert f"{stored.ago(hours=1):%Y-%m-%d %H:%M:%S}" in " ".join(page.fields["created"].split())


def test_a_channel_leads_to_what_is_due(viewer: Client) -> None:
    schedule = stored.schedule(to="chat-b")
    stored.schedule(to="chat-c")
    page = Page(viewer, page_url("channel", schedule.channel_id))
    assert Page(viewer, page.link("What is due") or "").column("channel_name") == ["chat-b"]


@pytest.mark.parametrize(("store", "said"), [(0, "not stored"), (-1, "ever")])
def test_how_long_it_will_be_stored(viewer: Client, store: int, said: str) -> None:
    schedule = stored.schedule(store=store)
    assert said in Page(viewer, page_url("schedule", schedule.id)).fields["retention"]


def test_what_clears_an_entry_has_no_data(viewer: Client) -> None:
    schedule = stored.schedule("", key="topic")
    assert Page(viewer, LIST).column("excerpt") == ["null"]
    assert "null" in Page(viewer, page_url("schedule", schedule.id)).fields["content"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ['"3"', '"2"', '"1"', '"0"']),
        ({"channel": "chat-1"}, ['"2"', '"0"']),
        ({"channel": "chat"}, []),
        ({"q": "chat-1"}, ['"2"', '"0"', '"1"']),
        ({"q": "chat"}, ['"2"', '"0"', '"1"', '"3"']),
        ({"q": "hat"}, []),
    ],
)
def test_what_can_be_asked(viewer: Client, asked: dict[str, str], found: list[str]) -> None:
    for number, name in enumerate(("chat-1", "chat-10", "chat-1", "chat-2")):
        stored.schedule(f'"{number}"', to=name, at=stored.ahead(hours=9 - number))
    assert Page(viewer, list_url("schedule", **asked)).column("excerpt") == found


@pytest.mark.parametrize("asked", [{}, {"channel": "chat-abc"}, {"q": "chat"}])
def test_each_is_on_one_page(viewer: Client, asked: dict[str, str]) -> None:
    """Some are due at the same moment."""
    with transaction.atomic():
        for number in range(130):
            stored.schedule(f'"{number:03}"', at=stored.ahead(hours=1 + number // 50))
    first = Page(viewer, list_url("schedule", **asked))
    second = Page(viewer, f"{LIST[:-1]}{first.link('Next page')}")
    shown = [*first.column("excerpt"), *second.column("excerpt")]
    assert shown == [f'"{number:03}"' for number in range(130)]


def test_a_search_looks_at_so_many_channels_and_offers_to_go_on(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "SCAN_LIMIT", 5)
    for number in range(9):
        stored.channel(f"chat-{number}")
    stored.schedule(to="chat-8")
    page = Page(viewer, list_url("schedule", q="chat"))
    assert page.rows == []
    onward = page.link("Look further")
    assert Page(viewer, f"{LIST[:-1]}{onward}").column("channel_name") == ["chat-8"]


# --- parked ---------------------------------------------------------------------------------------


def test_what_is_parked_says_why_and_can_be_tried_again(moderator: Client) -> None:
    stored.schedule()
    parked = stored.schedule()
    columns = {"work": '{"version":7}', "parked_at": stored.NOW, "problem": "unknown version 7"}
    Schedule.objects.filter(id=parked.id).update(**columns)
    asked = list_url("schedule", state="parked")
    (row,) = Page(moderator, asked).rows
    assert (row["left"], row["what"]) == ("parked", "cannot be read")
    page = Page(moderator, page_url("schedule", parked.id))
    assert "unknown version 7" in page.fields["problem"]
    assert '"version": 7' in page.fields["content"]
    answer = tick(moderator, asked, "try_again", [parked.id])
    assert "1 schedule will be tried" in Page(moderator, answer["Location"]).words
    assert len(Page(moderator, list_url("schedule", state="waiting")).rows) == 2
    assert LogEntry.objects.get().object_repr.endswith("cannot be read in chat-abc")


# --- cancelling ---------------------------------------------------------------------------------


def test_the_ticked_are_cancelled_and_logged(moderator: Client) -> None:
    kept, *gone = [stored.schedule('"a secret"', uid="eve") for _ in range(3)]
    answer = tick(moderator, LIST, "cancel_selected", [row.id for row in gone])
    assert "Cancelled 2 schedules." in Page(moderator, answer["Location"]).words
    assert list(Schedule.objects.all()) == [kept]
    entries = LogEntry.objects.all()
    assert {entry.object_id for entry in entries} == {row.id for row in gone}
    for entry in entries:
        assert (entry.user.username, entry.action_flag) == ("moderator", DELETION)
        due = f"{stored.NOW:%Y-%m-%d %H:%M:%S}"
        assert entry.object_repr == f"{due} message chat by eve in chat-abc"


def test_from_its_own_page(moderator: Client) -> None:
    schedule = stored.schedule(key="topic")
    chosen = {"CHANGE_FORM-action": "cancel_selected", "_selected_action": schedule.id}
    answer = moderator.post(page_url("schedule", schedule.id), {**chosen, "index": "0"})
    assert answer.status_code == 302
    assert "Cancelled 1 schedule." in moderator.get(LIST).text
    assert not Schedule.objects.exists()


def test_what_the_scheduler_holds_is_done_and_not_cancelled(
    moderator: Client, database: str
) -> None:
    """It has deleted the row and not yet committed: it will have been done."""
    schedule = stored.schedule()
    cancelling = threading.Thread(target=cancel, args=(moderator, schedule.id))
    with transaction.atomic():
        Schedule.objects.all().delete()
        cancelling.start()
        cancelling.join(0.5)
        assert cancelling.is_alive() is (database == "sqlite")  # where nobody else can write
    cancelling.join(10)
    assert not cancelling.is_alive()
    assert LogEntry.objects.count() == 0
    assert "Nothing was cancelled" in moderator.get(LIST).text


def test_what_is_done_already_is_no_error(moderator: Client) -> None:
    done, waiting = stored.schedule().id, stored.schedule().id
    Schedule.objects.filter(id=done).delete()
    answer = tick(moderator, LIST, "cancel_selected", [done, "none", waiting])
    assert "Cancelled 1 schedule." in Page(moderator, answer["Location"]).words
    assert LogEntry.objects.count() == 1


def cancel(client: Client, id: str) -> None:
    try:
        tick(client, LIST, "cancel_selected", [id])
    finally:
        connection.close()

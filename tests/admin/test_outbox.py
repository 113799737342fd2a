"""What callers' transactions wrote and no server has done yet, or could not do."""

from collections.abc import Iterator

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from chat.models import OutboxEntry
from chat.store.operations.removal import DeleteMessage
from chat.store.operations.work import CancelSchedule, encode
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page, list_url, page_url, tick
from tests.support.written import react, store

pytestmark = on_both
PARKED = {"parked_at": stored.NOW, "problem": "Such a message is not there."}


@pytest.fixture(autouse=True)
def entries(rows: str) -> Iterator[list[int]]:
    """The ids of one that waits and two that are parked."""
    OutboxEntry.objects.all().delete()
    works = store("chat-a", '"hello"'), react("chat-b", "0" * 26), CancelSchedule("1" * 26)
    rows = [
        OutboxEntry.objects.create(channel=channel, work=encode(work), **parked)
        for channel, work, parked in zip(
            ("chat-a", "chat-b", "chat-b"), works, ({}, PARKED, PARKED), strict=True
        )
    ]
    yield [row.pk for row in rows]
    OutboxEntry.objects.all().delete()


@pytest.fixture
def viewer(rows: str) -> Client:
    return staff("viewer", "view_outboxentry")


@pytest.fixture
def moderator(rows: str) -> Client:
    return staff("moderator", "view_outboxentry", "delete_outboxentry")


def test_a_list_says_how_many_wait_and_why_others_are_parked(viewer: Client) -> None:
    page = Page(viewer, list_url("outboxentry"))
    assert "Outbox entries: 1 waiting" in page.words
    assert [(row["of"], row["what"], row["state"], row["problem"]) for row in page.rows] == [
        ("chat-b", f"cancellation of {'1' * 26}", "parked", PARKED["problem"]),
        ("chat-b", "reaction 👍", "parked", PARKED["problem"]),
        ("chat-a", "message chat", "waiting for a server", "–"),
    ]
    assert [
        Page(viewer, list_url("outboxentry", **asked)).column("of")
        for asked in ({"state": "waiting"}, {"channel": "chat-a"}, {"state": "parked"})
    ] == [["chat-a"], ["chat-a"], ["chat-b", "chat-b"]]


def test_a_page_shows_the_work(viewer: Client, entries: list[int]) -> None:
    assert '"hello"' in Page(viewer, page_url("outboxentry", entries[0])).fields["content"]


def test_a_deletion_says_of_which_message(viewer: Client) -> None:
    work = encode(DeleteMessage("chat-c", "0" * 26))
    OutboxEntry.objects.create(channel="chat-c", work=work)
    page = Page(viewer, list_url("outboxentry", channel="chat-c"))
    assert page.column("what") == [f"deletion of {'0' * 26}"]


def test_what_is_parked_is_tried_again(moderator: Client, entries: list[int]) -> None:
    tick(moderator, list_url("outboxentry"), "try_again", entries[:2])
    assert "1 outbox entry will be tried" in moderator.get(list_url("outboxentry")).text
    waiting = OutboxEntry.objects.filter(parked_at=None, problem="")
    assert list(waiting.values_list("pk", flat=True)) == entries[:2]


def test_entries_are_deleted(moderator: Client, viewer: Client, entries: list[int]) -> None:
    refused = tick(viewer, list_url("outboxentry"), "delete_entries", entries[1:])
    assert refused.status_code == 403
    tick(moderator, list_url("outboxentry"), "delete_entries", entries[1:])
    assert list(OutboxEntry.objects.values_list("pk", flat=True)) == entries[:1]
    logged = LogEntry.objects.order_by("object_id").values_list("object_repr", flat=True)
    assert set(logged) == {f"cancellation of {'1' * 26} in chat-b", "reaction 👍 in chat-b"}

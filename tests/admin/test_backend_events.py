"""What the webhook is still to be told, and delivering again what was parked."""

import itertools
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.models import BackendEvent
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page, list_url, page_url, tick

pytestmark = on_both
numbers = itertools.count(1)
BODY = (
    '{"source":"hotsock.v1","data":{"n":18446744073709551616,"html":"<script>alert(1)</script>"}}'
)


@pytest.fixture(autouse=True)
def none(rows: str) -> None:
    BackendEvent.objects.all().delete()


@pytest.fixture
def viewer(rows: str) -> Client:
    return staff("viewer", "view_backendevent")


@pytest.fixture
def operator(rows: str) -> Client:
    return staff("operator", "view_backendevent", "change_backendevent")


def event(**columns: Any) -> BackendEvent:
    return BackendEvent.objects.create(
        **{
            "webhook_id": f"msg_{next(numbers):026}",
            "stream": "chat-a",
            "type": "hotsock.messagePublished",
            "body": BODY,
            "created_at": stored.NOW,
            "next_attempt_at": stored.NOW,
            **columns,
        }
    )


def parked(**columns: Any) -> BackendEvent:
    failed = {"attempts": 35, "last_error": "HTTP 500", "created_at": stored.ago(hours=25)}
    return event(**{"next_attempt_at": None, **failed, **columns})


def test_a_list_says_what_waits_and_what_is_parked(viewer: Client) -> None:
    parked()
    event(next_attempt_at=stored.ahead(hours=1, minutes=30), attempts=9, last_error="ConnectError")
    event(stream="chat-b", type="hotsock.subscribed")
    rows = Page(viewer, list_url("backendevent")).rows
    assert [(row["of"], row["type"], row["state"], row["attempts"]) for row in rows] == [
        ("chat-b", "hotsock.subscribed", "waiting for its turn", "0"),
        ("chat-a", "hotsock.messagePublished", "tried again in 1 h", "9"),
        ("chat-a", "hotsock.messagePublished", "parked", "35"),
    ]
    assert [row["last_error"] for row in rows] == ["–", "ConnectError", "HTTP 500"]
    assert rows[2]["time"] == f"{stored.ago(hours=25):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"state": "parked"}, ["4", "1"]),
        ({"state": "waiting"}, ["3", "2"]),
        ({"stream": "chat-b"}, ["4", "3"]),
        ({"stream": "chat-b", "state": "parked"}, ["4"]),
        ({"stream": "chat-a", "state": "waiting"}, ["2"]),
        ({"stream": "chat"}, []),
        ({"state": "lost"}, []),
        ({}, ["4", "3", "2", "1"]),
    ],
)
def test_what_can_be_asked(viewer: Client, asked: dict[str, str], found: list[str]) -> None:
    parked(attempts=1)
    event(attempts=2, next_attempt_at=stored.ahead(hours=1))
    event(attempts=3, stream="chat-b")
    parked(attempts=4, stream="chat-b")
    assert Page(viewer, list_url("backendevent", **asked)).column("attempts") == found


def test_a_page_shows_the_body_as_text(viewer: Client) -> None:
    page = Page(viewer, page_url("backendevent", parked().pk))
    assert "18446744073709551616" in page.fields["content"]
    assert "<script>alert(1)" in page.fields["content"]
    assert "<script>alert(1)" not in page.html
    assert '\n  "data": {\n' in page.fields["content"]


def test_what_is_parked_is_delivered_again_and_logged(operator: Client) -> None:
    first, second, waiting = parked(), parked(), event(next_attempt_at=stored.ahead(hours=1))
    keys = [first.pk, waiting.pk]
    answer = tick(operator, list_url("backendevent"), "deliver_again", keys)
    assert answer.status_code == 302
    for row in (first, second, waiting):
        row.refresh_from_db()
    assert first.next_attempt_at is not None
    assert first.attempts == 0
    assert second.next_attempt_at is None
    assert waiting.next_attempt_at == stored.ahead(hours=1)
    [entry] = LogEntry.objects.all()
    assert (entry.object_id, entry.action_flag) == (str(first.pk), CHANGE)
    assert first.webhook_id in entry.object_repr
    assert "1 backend event will be sent" in operator.get(list_url("backendevent")).text


def test_from_its_own_page(operator: Client) -> None:
    row = parked()
    form = {"CHANGE_FORM-action": "deliver_again", "_selected_action": row.pk, "index": "0"}
    operator.post(page_url("backendevent", row.pk), form)
    row.refresh_from_db()
    assert row.next_attempt_at is not None


def test_who_may_only_look_delivers_nothing(viewer: Client) -> None:
    row = parked()
    assert 'name="action"' not in Page(viewer, list_url("backendevent")).html
    assert tick(viewer, list_url("backendevent"), "deliver_again", [row.pk]).status_code == 403
    row.refresh_from_db()
    assert row.next_attempt_at is None
    assert LogEntry.objects.count() == 0


def test_nothing_is_added_changed_or_deleted(root: Client) -> None:
    row = parked()
    assert root.get(list_url("backendevent").replace("?", "add/")).status_code == 403
    assert root.post(page_url("backendevent", row.pk), {"body": "{}"}).status_code == 403
    assert root.post(page_url("backendevent", row.pk, "delete"), {"post": "yes"}).status_code == 403
    tick(root, list_url("backendevent"), "delete_selected", [row.pk], post="yes")
    row.refresh_from_db()
    assert row.body == BODY


def test_who_has_no_right_sees_nothing(rows: str) -> None:
    nobody = staff("nobody")
    for url in (list_url("backendevent"), page_url("backendevent", parked().pk)):
        assert nobody.get(url).status_code == 403


@pytest.mark.parametrize("asked", [{}, {"state": "parked"}, {"state": "waiting"}, {"stream": "a"}])
def test_a_list_takes_few_queries_and_counts_nothing(viewer: Client, asked: dict[str, str]) -> None:
    for _ in range(3):
        parked(stream="a")
        event(stream="a")
    with CaptureQueriesContext(connection) as captured:
        assert viewer.get(list_url("backendevent", **asked)).status_code == 200
    assert len(captured) <= 8
    assert not [query for query in captured if query["sql"].startswith("SELECT COUNT")]


def test_pages_follow_each_other(viewer: Client) -> None:
    BackendEvent.objects.bulk_create(
        BackendEvent(
            webhook_id=str(number),
            stream="a",
            type="t",
            body="{}",
            created_at=stored.NOW,
            next_attempt_at=stored.ago(seconds=number // 2),
            attempts=number,
        )
        for number in range(130)
    )
    for asked in ({}, {"state": "waiting"}, {"stream": "a"}):
        page = Page(viewer, list_url("backendevent", **asked))
        onward = f"{list_url('backendevent')[:-1]}{page.link('Next page')}"
        shown = [*page.column("attempts"), *Page(viewer, onward).column("attempts")]
        assert sorted(map(int, shown)) == list(range(130))

"""Every question that a moderator can put together has its answer, whichever index gives it."""

import itertools
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import QueryDict

from chat.admin import paging
from chat.admin.messages import MessageFilters
from chat.admin.paging import Cursor, read_page
from chat.admin.render import time_of
from chat.models import Message
from tests.admin import stored
from tests.admin.conftest import on_both

pytestmark = on_both

CHOICES: dict[str, tuple[Any, ...]] = {
    "channel": ("", "chat-a", "unknown"),
    "event": ("", "chat"),
    "uid": ("", "jim", "nobody"),
    "state": ("", "live", "expired"),
    "since": ("", stored.ago(minutes=40.5)),
    "until": ("", stored.ago(minutes=20.5)),
}
QUESTIONS = [
    {name: value for name, value in zip(CHOICES, chosen, strict=True) if value}
    for chosen in itertools.product(*CHOICES.values())
]


@pytest.fixture(scope="module")
def messages(database: str) -> list[Message]:
    """Sixty over an hour: two channels, two events, three people, some expired, some for ever."""
    Message.objects.all().delete()
    made = [
        stored.message(
            at=stored.ago(minutes=minute),
            to=f"chat-{'ab'[minute % 2]}",
            event=("chat", "notice", "chat")[minute % 3],
            uid=("jim", "pam", None)[minute % 5 % 3],
            expires_at=(None, stored.ago(seconds=minute), stored.ahead(hours=9))[minute % 7 % 3],
        )
        for minute in range(60)
    ]
    return list(Message.objects.filter(id__in=[row.id for row in made]).select_related("channel"))


def answers(message: Message, asked: dict[str, Any]) -> bool:
    """Whether a message is what was asked for, as one would say it in Python."""
    made = time_of(message.id)
    expired = message.expires_at is not None and message.expires_at <= stored.NOW
    return (
        asked.get("channel", message.channel.name) == message.channel.name
        and asked.get("event", message.event) == message.event
        and asked.get("uid", message.uid) == message.uid
        and asked.get("state", "") in ("", "expired" if expired else "live")
        and asked.get("since", made) <= made
        and made < asked.get("until", made + timedelta(1))
    )


def found(asked: dict[str, Any], size: int = 7) -> list[str]:
    """All answers, over as many pages as they take."""
    cursor, ids = Cursor(), []
    while True:
        page = read_page(MessageFilters(asked).scans(Message.objects.all()), cursor, size)
        ids += [row.id for row in page.rows]
        if not page.older:
            return ids
        cursor = Cursor(page.older)


@pytest.mark.parametrize("scan", [10_000, 9])
def test_every_combination(
    messages: list[Message], scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "SCAN_LIMIT", scan)
    assert len(QUESTIONS) == 216
    for asked in QUESTIONS:
        expected = sorted(row.id for row in messages if answers(row, asked))
        assert sorted(found(asked)) == expected, asked


def test_the_latest_come_first(messages: list[Message]) -> None:
    for asked in ({}, {"channel": "chat-a", "uid": "jim"}, {"event": "chat", "state": "live"}):
        ids = found(asked)
        assert ids == sorted(ids, reverse=True)


def test_what_expired_last_comes_first(messages: list[Message]) -> None:
    rows = {row.id: row for row in messages}
    times = [rows[id].expires_at for id in found({"state": "expired"})]
    assert times == sorted(times, key=str, reverse=True)
    assert len(times) > 10


@pytest.mark.parametrize("name", ["chat-a", "jim"])
def test_a_search_is_a_channel_or_else_a_uid(messages: list[Message], name: str) -> None:
    asked = {"channel" if name == "chat-a" else "uid": name}
    assert found({"q": name}) == found(asked) != []


def test_a_search_within_a_filter(messages: list[Message]) -> None:
    assert found({"q": "chat-a", "uid": "jim"}) == found({"channel": "chat-a", "uid": "jim"})
    assert found({"q": "jim", "uid": "jim"}) == found({"uid": "jim"})
    assert found({"q": "jim", "uid": "pam"}) == []
    assert found({"q": "chat-a", "channel": "chat-b"}) == []


def test_a_time_is_read_to_the_second_in_utc(database: str) -> None:
    form = MessageFilters(QueryDict(urlencode({"since": "2026-07-24T14:30", "until": "x"})))
    assert not form.is_valid()
    assert form.cleaned_data["since"] == datetime.fromisoformat("2026-07-24T14:30:00+00:00")
    assert list(form.errors) == ["until"]


@pytest.mark.parametrize("since", ["0001-01-01T00:00", "9999-12-31T23:59"])
def test_any_time_is_a_time(messages: list[Message], since: str) -> None:
    form = MessageFilters(QueryDict(urlencode({"since": since})))
    page = read_page(form.scans(Message.objects.all()), Cursor(), 7)
    assert len(page.rows) == (7 if since.startswith("0001") else 0)

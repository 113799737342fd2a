"""Each question is answered by the index that is meant for it, on both databases: no page reads
the table, sorts it, or counts it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin import site
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from chat.admin import paging
from chat.admin.channels import ChannelFilters, MemberFilters, StorageFilters
from chat.admin.messages import MessageAdmin, MessageFilters, ReactionFilters, reaction_counts
from chat.admin.paging import Cursor, read_page
from chat.admin.waiting import ScheduleFilters
from chat.models import Channel, Member, Message, Reaction, Schedule, StorageEntry
from chat.store import usage
from tests.admin import stored
from tests.admin.conftest import on_both

pytestmark = on_both

MESSAGES = 20_000
FILL = {
    "sqlite": """
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {of})
        INSERT INTO chat_message (id, channel_id, number, event, data, uid, umd, by_server,
            expires_at)
        SELECT printf('01J%023d', n), {channels} + n % 2 * (n % 50), n,
            iif(n % 100, 'chat', 'notice'), '"hi"', iif(n % 3, 'jim', 'user-' || n % 90), 'null',
            FALSE, iif(n % 2, strftime('%Y-%m-%d %H:%M:%f000', 'now', '+1 hours',
            '-' || ({of} - n) || ' seconds'), NULL) FROM numbers""",
    "postgres": """
        INSERT INTO chat_message (id, channel_id, number, event, data, uid, umd, by_server,
            expires_at)
        SELECT '01J' || lpad(n::text, 23, '0'), {channels} + n % 2 * (n % 50), n,
            CASE n % 100 WHEN 0 THEN 'notice' ELSE 'chat' END, '"hi"',
            CASE n % 3 WHEN 0 THEN 'user-' || n % 90 ELSE 'jim' END, 'null', FALSE,
            CASE n % 2 WHEN 1 THEN now() - ({of} - n) * interval '1 s' + interval '1 h' END
        FROM generate_series(1, {of}) n""",
}


REACT = """
    INSERT INTO chat_reaction (message_id, channel_id, number, uid, umd, reaction, removed,
        created_at)
    SELECT id, channel_id, number, 'pam', 'null', '+1', FALSE, CURRENT_TIMESTAMP FROM chat_message
"""


@pytest.fixture(scope="module")
def filled(database: str) -> str:
    """Twenty thousand messages in fifty channels, each with a reaction, as the planner knows."""
    Message.objects.all().delete()
    Channel.objects.all().delete()
    first, *_ = [stored.channel(f"chat-{number}") for number in range(50)]
    with connection.cursor() as cursor:
        cursor.execute(FILL[database].format(of=MESSAGES, channels=first.id))
        cursor.execute(REACT)
        if database == "postgres":
            cursor.execute("VACUUM ANALYZE")
    return database


HISTORY, EVENT, UID = "chat_message_history", "chat_message_event", "chat_message_uid"
EXPIRY = "chat_message_expiry"
KEY = {"sqlite": "sqlite_autoindex_chat_message_1", "postgres": "chat_message_pkey"}
RANGE = {"since": stored.ago(days=9), "until": stored.ago(days=8)}

QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "channel": ({"channel": "chat-0"}, HISTORY),
    "event": ({"event": "notice"}, EVENT),
    "uid": ({"uid": "user-3"}, UID),
    "live": ({"state": "live"}, ""),
    "expired": ({"state": "expired"}, EXPIRY),
    "time": (RANGE, ""),
    "search for a channel": ({"q": "chat-0"}, HISTORY),
    "search for a uid": ({"q": "user-3"}, UID),
    "channel and uid": ({"channel": "chat-0", "uid": "jim"}, HISTORY),
    "channel and event": ({"channel": "chat-0", "event": "chat"}, HISTORY),
    "channel and live": ({"channel": "chat-0", "state": "live"}, HISTORY),
    "channel and expired": ({"channel": "chat-3", "state": "expired"}, HISTORY),
    "channel and time": ({"channel": "chat-0", **RANGE}, HISTORY),
    "uid and event": ({"uid": "user-3", "event": "chat"}, UID),
    "uid and expired": ({"uid": "user-3", "state": "expired"}, UID),
    "uid and live": ({"uid": "user-3", "state": "live"}, UID),
    "uid and time": ({"uid": "jim", **RANGE}, UID),
    "event and expired": ({"event": "notice", "state": "expired"}, EVENT),
    "expired and time": ({"state": "expired", **RANGE}, ""),
    "all": ({"channel": "chat-3", "uid": "jim", "event": "chat", "state": "live"}, HISTORY),
}


SCAN, SIZE = 500, 20


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few rows may be looked at that the rarest part of a question decides."""
    monkeypatch.setattr(paging, "SCAN_LIMIT", SCAN)


def queries(asked: dict[str, Any], cursor: Cursor) -> tuple[str, list[str]]:
    """The cursor of the next page, and the queries about messages, the page's own the last."""
    rows = MessageAdmin(Message, site).columns_of(Message.objects.select_related("channel"))
    with CaptureQueriesContext(connection) as captured:
        page = read_page(MessageFilters(asked).scans(rows), cursor, SIZE)
    sql = [query["sql"] for query in captured.captured_queries]
    return page.older, [query for query in sql if '"chat_message"' in query]


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize(("asked", "index"), QUESTIONS.values(), ids=QUESTIONS)
def test_an_index_answers(filled: str, asked: dict[str, Any], index: str) -> None:
    older, about = queries(asked, Cursor())
    PLANS[filled](about, index or KEY[filled])
    if older:
        _, about = queries(asked, Cursor(older))
        PLANS[filled](about, index or KEY[filled])


def test_the_messages_of_a_person_are_counted_by_theirs(filled: str) -> None:
    with CaptureQueriesContext(connection) as asked:
        usage.message_bytes("user-3")
    how = "EXPLAIN QUERY PLAN" if filled == "sqlite" else "EXPLAIN (FORMAT JSON)"
    assert UID in str(explained(how, asked.captured_queries[-1]["sql"]))


def explained(how: str, sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"{how} {sql}")
        return [row[-1] for row in cursor.fetchall()]


def assert_sqlite(about: list[str], index: str) -> None:
    """A line for each table: SEARCH by an index, or SCAN in its order until the page is full. It
    sorts with a tree in memory; only those that expired at one moment need to be."""
    *surveys, page = ["\n".join(explained("EXPLAIN QUERY PLAN", sql)) for sql in about]
    assert re.search(rf"chat_message USING (COVERING )?INDEX {index}\b", page), page
    for plan in surveys:
        assert "TEMP B-TREE" not in plan, plan
        assert all("USING COVERING INDEX" in line for line in plan.splitlines() if "SEARCH" in line)
    assert re.findall("TEMP B-TREE FOR (.*)", page) in ([], ["LAST TERM OF ORDER BY"]), page


def assert_postgres(about: list[str], index: str) -> None:
    """Its planner may prefer another index where that takes no more rows; few it must be."""
    for sql in about:
        [plan] = explained("EXPLAIN (ANALYZE, FORMAT JSON)", sql)
        steps = list(walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
        taken = [
            step["Actual Rows"] + step.get("Rows Removed by Filter", 0)
            for step in steps
            if "chat_message" in f"{step.get('Relation Name')} {step.get('Index Name')}"
        ]
        assert max(taken) <= SCAN + SIZE, steps


def walk(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield step
    for below in step.get("Plans", ()):
        yield from walk(below)


PLANS = {"sqlite": assert_sqlite, "postgres": assert_postgres}


# --- the other lists ----------------------------------------------------------------------------

NAMED = r"sqlite_autoindex_chat_channel_1 \(name>\? AND name<\?\)\n.*"
OTHERS: dict[str, tuple[Any, type[Model], dict[str, str], str]] = {
    "channels": (ChannelFilters, Channel, {}, "sqlite_autoindex_chat_channel_1"),
    "channels, a search": (
        *(ChannelFilters, Channel, {"q": "chat-1"}),
        r"sqlite_autoindex_chat_channel_1 \(name>\? AND name<\?\)",
    ),
    "reactions": (ReactionFilters, Reaction, {}, "chat_reaction"),
    "reactions of a channel": (
        *(ReactionFilters, Reaction, {"channel": "chat-1"}),
        r"chat_reaction_repair \(channel_id=\?\)",
    ),
    "reactions of a message": (
        *(ReactionFilters, Reaction, {"message": "01J" + "0" * 23}),
        r"chat_reaction_once|sqlite_autoindex_chat_reaction_1",
    ),
    "storage": (StorageFilters, StorageEntry, {}, "chat_storageentry"),
    "storage of a channel": (
        *(StorageFilters, StorageEntry, {"channel": "chat-1"}),
        r"sqlite_autoindex_chat_storageentry_1 \(channel_id=\?\)",
    ),
    "storage, a search": (
        *(StorageFilters, StorageEntry, {"q": "chat-1"}),
        rf"{NAMED}sqlite_autoindex_chat_storageentry_1 \(channel_id=\?\)",
    ),
    "members": (MemberFilters, Member, {}, "chat_member"),
    "members of a channel": (
        *(MemberFilters, Member, {"channel": "chat-1"}),
        r"sqlite_autoindex_chat_member_1 \(channel_id=\?\)",
    ),
    "members, a search": (
        *(MemberFilters, Member, {"q": "chat-1"}),
        rf"{NAMED}sqlite_autoindex_chat_member_1 \(channel_id=\?\)",
    ),
    "schedules": (ScheduleFilters, Schedule, {}, r"chat_schedule_due_at_\w+"),
    "schedules of a channel": (
        *(ScheduleFilters, Schedule, {"channel": "chat-1"}),
        r"chat_schedule_channel_id_\w+ \(channel_id=\?\)",
    ),
    "schedules, a search": (
        *(ScheduleFilters, Schedule, {"q": "chat-1"}),
        rf"{NAMED}chat_schedule_channel_id_\w+ \(channel_id=\?\)",
    ),
}


@pytest.mark.parametrize(("filters", "model", "asked", "index"), OTHERS.values(), ids=list(OTHERS))
def test_the_other_lists_are_read_in_the_order_of_an_index(
    filled: str, filters: Any, model: type[Model], asked: dict[str, str], index: str
) -> None:
    """As SQLite plans it; PostgreSQL reads so few channels whole."""
    with CaptureQueriesContext(connection) as captured:
        read_page(filters(asked).scans(model.objects.all()), Cursor(), SIZE)
    page = captured.captured_queries[-1]["sql"]
    assert f"LIMIT {SIZE + 1}" in page
    if filled == "sqlite":
        [plan] = ["\n".join(explained("EXPLAIN QUERY PLAN", page))]
        assert re.search(index, plan), plan
        if "message" not in asked and model is not Schedule:  # of which there are few
            assert "TEMP B-TREE" not in plan, plan


def test_reactions_are_counted_by_their_message(filled: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        reaction_counts([f"01J{number:023d}" for number in range(100)])
    [query] = captured.captured_queries
    plan = "\n".join(str(row) for row in explained(EXPLAIN[filled], query["sql"]))
    assert "chat_reaction_once" in plan or "sqlite_autoindex_chat_reaction_1" in plan, plan


EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgres": "EXPLAIN"}

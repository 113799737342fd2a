"""Each statement of a purge is answered by an index, and which one (design.md section 4)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from chat.purge import Database, count_due, purge
from tests.purge import rows
from tests.purge.rows import DAY, MINUTE, ago

Parameters = tuple[Any, ...]
HOUR = timedelta(hours=1)


EXPLAINED: dict[str, list[str]] = {}


@pytest.fixture
def statements(url: str) -> list[str]:
    """The plan of each statement that looks for rows, behind the statement itself: asked for once
    in each database."""
    if url not in EXPLAINED:
        with pytest.MonkeyPatch.context() as patch:
            EXPLAINED[url] = explained(patch)
    return EXPLAINED[url]


def explained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: dict[str, Parameters] = {}
    execute = Database.execute

    def record(database: Database, sql: str, *parameters: Any) -> int:
        sent[sql] = parameters
        return execute(database, sql, *parameters)

    monkeypatch.setattr(Database, "execute", record)
    with transaction.atomic():
        fill()
    due = count_due().left
    assert purge().removed == due
    assert all(due.values())
    return [f"{sql}\n{plan(sql, sent[sql])}" for sql in sent if " WHERE " in sql]


def fill() -> None:
    """Rows of each kind that are due, and others: enough for a planner to think about."""
    for age in range(20):
        channel = rows.channel(ago(age * DAY))
        expiries = [ago(hours * HOUR) if hours % 2 else None for hours in range(-25, 25)]
        rows.messages(channel, expiries if age % 2 else [])
        for hours in range(-5, 5) if age % 2 else ():
            rows.storage_entry(channel, ago(hours * DAY))
            rows.deduplication(channel, ago(hours * HOUR))
            rows.acknowledgement(channel, ago(hours * HOUR))
            rows.deletion(channel, ago(hours * HOUR), outlived=hours % 2 == 1)
            rows.member(channel, ago(hours * HOUR))
    for minutes in range(-50, 50):
        rows.used_token(ago(minutes * MINUTE))
        rows.audit_entry(ago(365 * DAY + minutes * MINUTE))
        rows.restriction(ago(DAY + minutes * MINUTE))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def plan(sql: str, parameters: Parameters) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
            return "\n".join(row[3] for row in cursor.fetchall())
        # To read tables as small as these at once would be right; so say that it is not.
        cursor.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(row[0] for row in cursor.fetchall())


def of(statements: list[str], beginning: str) -> str:
    [found] = [statement for statement in statements if statement.startswith(beginning)]
    return found


def test_no_table_is_read_whole(statements: list[str]) -> None:
    whole = re.compile(
        r"Seq Scan on (?!chat_node)|SCAN (?!chat_node)(chat|tokens)_"
    )  # a row for each process
    assert len(statements) > 8
    assert not [statement for statement in statements if whole.search(statement)]


@pytest.mark.parametrize(
    ("beginning", "index"),
    [
        ("SELECT id, expires_at < %s FROM chat_message", "chat_message_expiry"),
        ("SELECT count(*) FROM chat_message", "chat_message_expiry"),
        ("SELECT id, expires_at < %s AND NOT reports_expiry FROM", "chat_storage_expiry"),
        ("SELECT id, expires_at < %s FROM chat_deduplication", "expires_at"),
        ("SELECT message_id, expires_at < %s FROM chat_deletion", "expires_at"),
        ("SELECT digest, expires_at < %s FROM tokens_usedtoken", "expires_at"),
        # Of so few rows PostgreSQL may find those that are due first, and take their ids from them.
        (
            "DELETE FROM chat_message",
            "(sqlite_autoindex_chat_message_1|chat_message_pkey|chat_message_expiry)",
        ),
        ("DELETE FROM chat_reaction", "sqlite_autoindex_chat_reaction_1|chat_reaction_once"),
    ],
)
def test_what_is_due_and_what_belongs_to_it_is_found_by_index(
    statements: list[str], beginning: str, index: str
) -> None:
    found = of(statements, beginning)
    assert re.search(rf"(USING|using) .*({index})|Bitmap Index Scan on {index}", found), found


def test_what_is_due_comes_in_the_order_of_the_index(statements: list[str]) -> None:
    found = of(statements, "SELECT id, expires_at < %s FROM chat_message")
    assert "TEMP B-TREE" not in found
    assert "Sort" not in found

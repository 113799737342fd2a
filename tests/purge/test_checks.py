"""`manage.py check --database default` says where the purge does not run, and asks only there."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from chat.checks import PURGE_DOES_NOT_RUN, purge_runs
from chat.purge import purge
from tests.purge import rows
from tests.purge.rows import DAY, MINUTE, ago
from tests.support.databases import default_database
from tests.support.servers import manage, server_environment

MARGIN = MINUTE


@pytest.mark.parametrize(
    ("age", "warned"), [(2 * DAY + MARGIN, True), (2 * DAY - MARGIN, False), (None, False)]
)
def test_it_warns_where_messages_expired_two_days_ago(
    url: str, age: timedelta | None, warned: bool
) -> None:
    rows.messages(rows.channel(), [None if age is None else ago(age), ago(-DAY)])
    assert purge_runs(databases=["default"]) == ([PURGE_DOES_NOT_RUN] if warned else [])


def test_it_is_content_once_the_purge_has_run(url: str) -> None:
    rows.messages(rows.channel(), [ago(9 * DAY)])
    assert purge_runs(databases=["default"]) == [PURGE_DOES_NOT_RUN]
    purge()
    assert purge_runs(databases=["default"]) == []


@pytest.mark.parametrize("databases", [None, [], ["other"]])
def test_without_that_flag_it_asks_nothing(url: str, databases: list[str] | None) -> None:
    rows.messages(rows.channel(), [ago(9 * DAY)])
    with CaptureQueriesContext(connection) as queries:
        assert purge_runs(databases=databases) == []
    assert len(queries) == 0


def test_its_question_is_answered_by_the_index(url: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        purge_runs(databases=["default"])
    [query] = queries
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
        else:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(f"EXPLAIN {query['sql']}")
        assert "chat_message_expiry" in str(cursor.fetchall())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_manage_py_check_says_so(url: str, tmp_path: Path) -> None:
    rows.messages(rows.channel(), [ago(9 * DAY)])
    environment = server_environment(tmp_path, DATABASE_URL=url)
    asked = manage(environment, "check", "--database", "default")
    assert asked.returncode == 0
    assert "(chat.W001)" in asked.stderr
    assert "purge_expired` does not run" in asked.stderr
    assert "docs/operations.md" in asked.stderr
    assert "chat.W001" not in manage(environment, "check").stderr


@pytest.mark.parametrize("path", ["new.sqlite3", "no-such-directory/db.sqlite3"])
def test_a_database_without_tables_or_away_is_for_others_to_report(
    path: str, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock(), default_database(f"sqlite:///{tmp_path / path}"):
        assert purge_runs(databases=["default"]) == []

"""The queries of the server run on their indexes, with enough rows that it matters."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from chat.actions import queries
from chat.models import Channel, Message, Reaction
from chat.protocol import ids
from chat.store.changes_after import changes_after
from tests.support.databases import default_database, migrated
from tests.support.servers import Postgres

BUSY, CHANNELS, QUIET = 6_000, 100, 60
NOW = datetime.now(UTC)


def fill() -> None:
    """One channel with half of all messages, many with a few, all interleaved in time."""
    Channel.objects.bulk_create(
        Channel(name=f"c{at}", number=0, changed_at=NOW) for at in range(CHANNELS)
    )
    busy, *quiet = Channel.objects.order_by("id")
    last, start = 0, int(NOW.timestamp() * 1000) - 2 * BUSY
    messages, marks = [], []
    for at in range(2 * BUSY):
        channel = quiet[at // 2 % len(quiet)] if at % 2 else busy
        channel.number += 1
        last = ids.next_id(last, start + at)
        messages.append(message(ids.ulid_text(last), channel, at))
        channel.number += 1
        marks.append(reaction(messages[-1], channel))
    Message.objects.bulk_create(messages, batch_size=3000)
    Reaction.objects.bulk_create(marks, batch_size=3000)
    Channel.objects.bulk_update([busy, *quiet], ["number"], batch_size=100)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def message(id: str, channel: Channel, at: int) -> Message:
    # None while the tests run: of two readings, the second would lack it.
    expires_at = NOW + timedelta(hours=1 if at >= 100 else -1) if at % 3 else None
    return Message(
        id=id, channel=channel, number=channel.number, event="chat", data="1", expires_at=expires_at
    )


def reaction(to: Message, channel: Channel) -> Reaction:
    return Reaction(
        message=to,
        channel=channel,
        number=channel.number,
        uid="jim",
        reaction="👍",
        created_at=NOW,
    )


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def filled(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    directory = tmp_path_factory.mktemp(request.param)
    url = f"sqlite:///{directory / 'db.sqlite3'}"
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database()
    with django_db_blocker.unblock(), default_database(migrated(url, directory)):
        fill()
        yield request.param


QUERIES: dict[str, Callable[[Message], Any]] = {
    "the first page": lambda middle: queries._page("c0", ""),
    "a page in the middle": lambda middle: queries._page("c0", middle.id),
    "the last page": lambda middle: queries._page("c0", "", "", reverse=True),
    "a page in the middle, newest first": lambda middle: queries._page(
        "c0", "", middle.id, reverse=True
    ),
    "a page of a quiet channel": lambda middle: queries._page("c7", ""),
    "a page of a quiet channel, newest first": lambda middle: queries._page(
        "c7", "", "", reverse=True
    ),
    "an empty page": lambda middle: queries._page("unknown", ""),
    "the reactions to a message": lambda middle: queries._reactions_to("c0", middle.id, ""),
    "a gap in a busy channel": lambda middle: changes_after("c0", 2 * BUSY - 20),
    "a gap in a quiet channel": lambda middle: changes_after("c7", QUIET),
    "what has expired": lambda middle: list(
        Message.objects.filter(expires_at__lte=NOW).order_by("expires_at")
    ),
}
LARGE = ("chat_message", "chat_reaction")
MOST_ROWS = 2 * queries.MAX_PAGE  # of one table that a query may look at


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_looks_at_no_more_than_it_answers(
    filled: str, query: Callable[[Message], Any]
) -> None:
    middle = Message.objects.filter(channel__name="c0").order_by("id")[BUSY // 2]
    with CaptureQueriesContext(connection) as captured:
        query(middle)
    about = [sql for sql in sql_of(captured) if any(table in sql for table in LARGE)]
    assert about
    for sql in about:
        if filled == "sqlite":
            assert_searches(sql)
        else:
            assert_visits_few_rows(sql)


def sql_of(captured: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in captured.captured_queries]


def explained(how: str, sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"{how} {sql}")
        return [row[-1] for row in cursor.fetchall()]


def assert_searches(sql: str) -> None:
    """SQLite's plan has a line a table: SEARCH by an index, or SCAN. It sorts by a temporary tree,
    which is no harm where few rows remain."""
    plan = explained("EXPLAIN QUERY PLAN", sql)
    assert not [line for line in plan if line.startswith("SCAN")], plan
    if "LIMIT 100" in sql:
        assert not [line for line in plan if "TEMP B-TREE" in line], plan


def assert_visits_few_rows(sql: str) -> None:
    (plan,) = explained("EXPLAIN (ANALYZE, FORMAT JSON)", sql)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    visited = dict.fromkeys(LARGE, 0)
    for step in steps(plan[0]["Plan"]):
        if step.get("Relation Name") in visited:
            rows = step["Actual Rows"] + step.get("Rows Removed by Filter", 0)
            visited[step["Relation Name"]] += rows * step["Actual Loops"]
    assert max(visited.values()) <= MOST_ROWS, json.dumps(plan, indent=1)


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from steps(inner)


def test_the_pages_are_those_that_were_asked_for(filled: str) -> None:
    whole = list(
        Message.objects.live()
        .filter(channel__name="c0")
        .order_by("id")
        .values_list("id", flat=True)
    )
    read: list[str] = []
    while page := [row.id for row in queries._page("c0", read[-1] if read else "").messages]:
        read += page
    assert read == whole
    page = queries._page("c0", whole[3], whole[10], reverse=True)
    assert [row.id for row in page.messages] == whole[9:3:-1]
    assert {id: [one.uid for one in each] for id, each in page.reactions.items()} == {
        id: ["jim"] for id in whole[9:3:-1]
    }

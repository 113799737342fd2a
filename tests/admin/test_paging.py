"""Pages by key: each row is on one page, in order, there and back, whatever a link says."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q

from chat.admin import paging
from chat.admin.paging import Cursor, IndexScan, Page, read_page
from chat.models import Message
from tests.admin import stored
from tests.admin.conftest import on_both

pytestmark = on_both

SIZE = 4


@pytest.fixture
def ids(rows: str) -> list[str]:
    """Twenty-one messages, the latest first; a third expire at the same moment."""
    moment = stored.ago(hours=1)
    made = [
        stored.message(
            at=stored.ago(minutes=minute),
            uid=f"user-{minute % 2}",
            expires_at=moment - timedelta(seconds=minute // 3),
        )
        for minute in range(21)
    ]
    return [message.id for message in made]


def pages(scans: list[IndexScan], cursor: Cursor, *, back: bool = False) -> Iterator[Page]:
    while True:
        page = read_page(scans, cursor, SIZE)
        yield page
        onward = page.newer if back else page.older
        if not onward:
            return
        cursor = Cursor(onward, back=back)


def ids_of(pages: list[Page]) -> list[str]:
    return [row.id for page in pages for row in page.rows]


def by_id() -> IndexScan:
    return IndexScan(Message.objects.all())


def by_expiry() -> IndexScan:
    return IndexScan(Message.objects.all(), ("expires_at", "id"))


def test_every_row_is_on_one_page_in_order(ids: list[str]) -> None:
    read = list(pages([by_id()], Cursor()))
    assert [len(page.rows) for page in read] == [4, 4, 4, 4, 4, 1]
    assert ids_of(read) == ids
    assert (read[0].newer, read[-1].older) == ("", "")


def test_a_last_page_that_is_full_has_no_next(ids: list[str]) -> None:
    Message.objects.filter(id=ids[0]).delete()
    read = list(pages([by_id()], Cursor()))
    assert [len(page.rows) for page in read] == [4, 4, 4, 4, 4]


def test_the_way_back_is_the_way_there(ids: list[str]) -> None:
    there = list(pages([by_id()], Cursor()))
    back = list(pages([by_id()], Cursor(there[-1].newer, back=True), back=True))
    assert [ids_of([page]) for page in back] == [ids_of([page]) for page in there[-2::-1]]
    assert back[-1].newer == ""


def test_from_the_end(ids: list[str]) -> None:
    read = list(pages([by_id()], Cursor(back=True), back=True))
    assert ids_of(read[::-1]) == ids
    assert ids_of(read[:1]) == ids[-SIZE:]


def test_the_least_first(ids: list[str]) -> None:
    scan = IndexScan(Message.objects.all(), ascending=True)
    there = list(pages([scan], Cursor()))
    assert ids_of(there) == ids[::-1]
    back = list(pages([scan], Cursor(there[-1].newer, back=True), back=True))
    assert ids_of(back[::-1]) == ids[::-1][:20]


def test_keys_that_share_their_first_column(ids: list[str]) -> None:
    ordered = Message.objects.order_by("-expires_at", "-id")
    expected = list(ordered.values_list("id", flat=True))
    there = list(pages([by_expiry()], Cursor()))
    assert ids_of(there) == expected
    back = list(pages([by_expiry()], Cursor(there[-1].newer, back=True), back=True))
    assert ids_of(back[::-1]) == expected[:20]


def test_rows_that_came_meanwhile_move_no_page(ids: list[str]) -> None:
    first = read_page([by_id()], Cursor(), SIZE)
    stored.message(at=stored.ahead(minutes=1))
    second = read_page([by_id()], Cursor(first.older), SIZE)
    assert ids_of([second]) == ids[4:8]


def test_a_page_whose_neighbour_is_gone_goes_on(ids: list[str]) -> None:
    first = read_page([by_id()], Cursor(), SIZE)
    Message.objects.filter(id=ids[3]).delete()
    assert ids_of([read_page([by_id()], Cursor(first.older), SIZE)]) == ids[4:8]


EDGES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]  # no times at all in UTC


@pytest.mark.parametrize(
    "text",
    ["\0", ",", "a,b", "2026-01-01T00:00:00,x", ",,,", "9" * 40, *(f"{edge},x" for edge in EDGES)],
)
@pytest.mark.parametrize("key", [("expires_at", "id"), ("number",)])
def test_a_link_that_says_nothing_is_the_first_page(
    ids: list[str], text: str, key: tuple[str, ...]
) -> None:
    scan = IndexScan(Message.objects.all(), key)
    expected = ids_of([read_page([scan], Cursor(), SIZE)])
    for back in (False, True):
        found = ids_of([read_page([scan], Cursor(text, back=back), SIZE)])
        assert found in (expected, [])


# --- where an index answers a part of the question ----------------------------------------------


def even(rows: Any = None) -> IndexScan:
    """Half of all rows; whether a row belongs to it stands in no index."""
    return IndexScan(Message.objects.all(), residual=Q(uid="user-0"))


def none() -> IndexScan:
    return IndexScan(Message.objects.all(), residual=Q(uid="nobody"))


@pytest.fixture
def short_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SCAN_LIMIT", 5)


def test_what_is_sought_is_found_where_everything_may_be_looked_at(ids: list[str]) -> None:
    read = list(pages([even()], Cursor()))
    assert ids_of(read) == ids[::2]
    assert not any(page.partial for page in read)


@pytest.mark.usefixtures("short_scan")
def test_no_page_looks_at_more_rows_than_it_may(ids: list[str]) -> None:
    read = list(pages([even()], Cursor()))
    assert ids_of(read) == ids[::2]
    assert [len(page.rows) for page in read] == [3, 2, 3, 2, 1]
    assert [page.partial for page in read] == [True, True, True, True, False]


@pytest.mark.usefixtures("short_scan")
def test_the_way_back_looks_at_no_more_either(ids: list[str]) -> None:
    back = list(pages([even()], Cursor(back=True), back=True))
    assert ids_of(back[::-1]) == ids[::2]
    assert max(len(page.rows) for page in back) == 3


@pytest.mark.usefixtures("short_scan")
def test_a_search_for_nothing_ends(ids: list[str]) -> None:
    read = list(pages([none()], Cursor()))
    assert ids_of(read) == []
    assert len(read) == 5


@pytest.mark.usefixtures("short_scan")
def test_rows_of_one_first_column_are_passed_together(ids: list[str]) -> None:
    scan = IndexScan(Message.objects.all(), ("expires_at", "id"), residual=Q(uid="user-0"))
    ordered = Message.objects.filter(uid="user-0").order_by("-expires_at", "-id")
    assert ids_of(list(pages([scan], Cursor()))) == list(ordered.values_list("id", flat=True))


@pytest.mark.usefixtures("short_scan")
def test_more_rows_of_one_first_column_than_may_be_looked_at_end(ids: list[str]) -> None:
    Message.objects.update(expires_at=stored.NOW)
    scan = IndexScan(Message.objects.all(), ("expires_at", "id"), residual=Q(uid="user-0"))
    assert ids_of(list(pages([scan], Cursor()))) == ids[::2]


@pytest.mark.usefixtures("short_scan")
def test_the_index_with_few_rows_answers(ids: list[str]) -> None:
    """The first would find nothing among the rows that it may look at."""
    seldom = Message.objects.filter(id=ids[-1])
    Message.objects.filter(id=ids[-1]).update(event="seldom")
    long = IndexScan(Message.objects.all(), residual=Q(event="seldom"))
    short = IndexScan(seldom, residual=Q(event="seldom"))
    page = read_page([long, short], Cursor(), SIZE)
    assert (ids_of([page]), page.partial, page.older) == ([ids[-1]], False, "")


def test_a_cursor_chooses_the_order_that_it_is_of(ids: list[str]) -> None:
    first = read_page([by_expiry()], Cursor(), SIZE)
    second = read_page([by_id(), by_expiry()], Cursor(first.older), SIZE)
    assert second == read_page([by_expiry()], Cursor(first.older), SIZE)
    assert second != read_page([by_id()], Cursor(first.older), SIZE)

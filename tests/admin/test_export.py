"""A history as a file: all of it, in order, exact, harmless, and never all in memory."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import AsyncClient

from chat.admin import messages as message_admin
from chat.admin import paging
from chat.models import Message
from tests.admin import stored
from tests.admin.conftest import on_both

pytestmark = on_both

EXPORT = "/admin/chat/message/export."


@pytest.fixture(autouse=True)
async def connection_of_the_views(rows: str) -> AsyncIterator[None]:
    """That of the thread in which Django runs them; its test client leaves it open."""
    yield
    await sync_to_async(lambda: connection.close())()


async def ask(address: str) -> StreamingHttpResponse:
    client = AsyncClient()
    user, _ = await User.objects.aget_or_create(username="root", is_staff=True, is_superuser=True)
    await client.aforce_login(user)
    answer: Any = await client.get(f"{EXPORT}{address}")
    assert answer.status_code == 200
    return answer


async def exported(address: str) -> str:
    answer = await ask(address)
    return b"".join([chunk async for chunk in answer]).decode()


async def lines(asked: str = "") -> list[Any]:
    return [json.loads(line) for line in (await exported(f"jsonl?{asked}")).splitlines()]


async def cells() -> list[list[str]]:
    return list(csv.reader(io.StringIO((await exported("csv")).removeprefix("\ufeff"))))


@pytest.fixture
async def stored_rows(rows: str) -> list[Message]:
    return await sync_to_async(some)()


def some() -> list[Message]:
    messages = stored.messages(7)
    for message in messages[:2]:
        stored.reaction(message, "pam", "👍", umd='{"k":1}')
        stored.reaction(message, "eve", "👎", removed=True)
    return messages


async def test_a_line_is_a_message_as_it_travels(stored_rows: list[Message]) -> None:
    last = stored_rows[0]
    found = await lines()
    assert [line["id"] for line in found] == [row.id for row in reversed(stored_rows)]
    line = found[-1]
    assert datetime.fromisoformat(line.pop("createdAt")) == stored.NOW.replace(
        microsecond=stored.NOW.microsecond // 1000 * 1000
    )
    [reaction] = line.pop("reactions")
    assert datetime.fromisoformat(reaction.pop("createdAt")) == stored.NOW
    assert reaction == {"reaction": "👍", "uid": "pam", "umd": {"k": 1}}
    assert line == {
        "id": last.id,
        "event": "chat",
        "channel": "chat-abc",
        "data": "0",
        "meta": {"uid": "jim", "umd": None},
        "expiresAt": None,
    }


async def test_what_the_server_published_has_no_meta(rows: str) -> None:
    await sync_to_async(stored.message)(by_server=True, uid=None)
    [line] = await lines()
    assert "meta" not in line


async def test_data_is_exact_and_on_one_line(rows: str) -> None:
    data = '{"n":\r\n18446744073709551616,\n"s":"a\\nb\u2028","n":1.10}'
    await sync_to_async(stored.message)(data)
    [line] = (await exported("jsonl")).removesuffix("\n").split("\n")
    assert '"data":{"n":  18446744073709551616, "s":"a\\nb\u2028","n":1.10}' in line


async def test_cells(stored_rows: list[Message]) -> None:
    head, *found = await cells()
    assert head == [
        *("time", "id", "channel", "event", "uid", "data", "umd", "expires_at", "reactions")
    ]
    assert [row[1] for row in found] == [row.id for row in reversed(stored_rows)]
    assert found[-1][2:8] == ["chat-abc", "chat", "jim", '"0"', "null", ""]
    assert json.loads(found[-1][8])[0]["reaction"] == "👍"


async def test_no_cell_of_the_file_begins_like_a_formula(rows: str) -> None:
    formula = '=HYPERLINK("http://example.org","x")'
    await sync_to_async(stored.message)("-1", to="@c", uid=formula, event="+e")
    [_, row] = await cells()
    assert row[2:6] == ["'@c", "'+e", f"'{formula}", "'-1"]


async def test_a_file_has_a_name_with_its_time(rows: str) -> None:
    for suffix, kind in (("jsonl", "application/x-ndjson"), ("csv", "text/csv; charset=utf-8")):
        answer = await ask(suffix)
        assert answer["Content-Type"] == kind
        disposition = answer["Content-Disposition"]
        name = disposition.removeprefix('attachment; filename="messages-').rstrip('"')
        made = datetime.strptime(name, f"%Y%m%dT%H%M%SZ.{suffix}")
        assert abs((made - datetime.fromisoformat(f"{stored.NOW:%Y-%m-%d %H:%M:%S}")).days) < 1


async def test_the_filters_of_the_list_are_those_of_the_file(
    rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync_to_async(mixed)()
    for scan in (10_000, 5):
        monkeypatch.setattr(paging, "SCAN_LIMIT", scan)
        assert len(await lines("channel=chat-a&uid=jim")) == 10
        assert len(await lines("q=chat-a&state=live&event=chat")) == 30
        assert len(await lines("state=expired")) == 20
        assert len(await lines("channel=unknown")) == 0


def mixed() -> None:
    stored.messages(20, to="chat-a", uid="pam")
    stored.messages(10, to="chat-a")
    stored.messages(20, to="chat-b", expires_at=stored.ago(minutes=1))


async def test_it_goes_on_chunk_by_chunk(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_admin, "CHUNK", 8)
    messages = await sync_to_async(stored.messages)(41)
    answer = await ask("jsonl")
    chunks = [chunk async for chunk in answer]
    assert [chunk.count(b"\n") for chunk in chunks] == [0, 8, 8, 8, 8, 8, 1]
    assert messages[0].id.encode() in chunks[-1]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("xlsx", 404),
        ("csv?since=yesterday", 400),
        ("csv?data__contains=x", 400),
        ("csv?state=gone", 400),
    ],
)
async def test_what_cannot_be_exported(rows: str, address: str, status: int) -> None:
    client = AsyncClient()
    await client.aforce_login(
        await User.objects.acreate(username="r", is_superuser=True, is_staff=True)
    )
    assert (await client.get(f"{EXPORT}{address}")).status_code == status

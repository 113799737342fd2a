"""Pages of storage entries (protocol.md sections 12, 14 and 15)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chat.actions import storage
from chat.actions.storage import list_entries, show_observed
from chat.models import StorageEntry
from chat.protocol.commands import Subscribe
from chat.protocol.session import Session
from chat.store.operations.storage import SetStorage
from tests.support.databases import in_thread
from tests.support.live import recording
from tests.support.written import do
from tokens.claims import parse_claims


def fill(channel: str, keys: list[str]) -> None:
    do(*(SetStorage(channel, key, b"1", None, "null", None) for key in keys))


async def keys_of(channel: str, **asked: object) -> list[str]:
    return [row.key for row in await list_entries(channel, **asked)]  # type: ignore[arg-type]


async def all_pages(channel: str, allowed: Callable[[str], bool]) -> list[list[str]]:
    pages, after = [], ""
    while True:
        page = await keys_of(channel, after=after, allowed=allowed)
        pages.append(page)
        if len(page) < 100:
            return pages
        after = page[-1]


@pytest.mark.parametrize("window", [7, 100, 500])
async def test_pages_are_full_though_many_keys_are_not_allowed(
    database: str, channel: str, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "WINDOW", window)
    keys = [f"{at:04}" for at in range(700)]
    await in_thread(lambda: fill(channel, keys))
    allowed = [key for key in keys if int(key) % 3 == 0]
    pages = await all_pages(channel, lambda key: int(key) % 3 == 0)
    assert [len(page) for page in pages] == [100, 100, 34]
    assert [key for page in pages for key in page] == allowed


async def test_a_page_looks_no_further_than_it_must(database: str, channel: str) -> None:
    await in_thread(lambda: fill(channel, [f"{at:04}" for at in range(2000)]))
    asked: list[str] = []
    assert len(await keys_of(channel, allowed=lambda key: not asked.append(key))) == 100
    assert len(asked) <= storage.WINDOW


async def test_a_page_is_full_though_entries_vanish_meanwhile(database: str, channel: str) -> None:
    keys = [f"{at:04}" for at in range(300)]
    await in_thread(lambda: fill(channel, keys))
    gone: list[str] = []

    def vanishes(key: str) -> bool:
        if key == "0050" and not gone:
            gone.append(key)
            StorageEntry.objects.filter(channel__name=channel, key__lt="0020").delete()
        return True

    page = await keys_of(channel, allowed=vanishes)
    assert page == keys[20:120]


async def test_keys_are_in_the_order_of_their_code_points(database: str, channel: str) -> None:
    keys = ["B", "a", "Z", "é", "10", "9", "😀", "\uffee", "-"]
    await in_thread(lambda: fill(channel, keys))
    assert await keys_of(channel) == sorted(keys)
    assert await keys_of(channel, after="Z") == [key for key in sorted(keys) if key > "Z"]
    assert await keys_of(channel, keys=["a", "9", "a", "none"]) == ["9", "a"]
    assert await keys_of(channel, keys=["a", "9"], after="9") == ["a"]
    assert await keys_of(channel, keys=["a", "9"], allowed=lambda key: key == "9") == ["9"]
    assert await keys_of(channel, keys=[]) == []


@dataclass
class Shown:
    """A new subscription under `observed`, and the frames that it gets."""

    channel: str
    observed: dict[str, Any]

    async def show(self, head: int) -> list[Any]:
        send_queue, sent = recording()
        channels = {self.channel: {"subscribe": True, "storage": self.observed}}
        payload = {"exp": 9e9, "scope": "connect", "uid": "jim", "channels": channels}
        session = Session("id", parse_claims(json.dumps(payload).encode(), scope="connect"))
        subscription = session.may_subscribe(Subscribe(self.channel), None)
        await show_observed(send_queue, subscription, head)
        frames = [json.loads(message["text"]) for message in sent]
        return [(frame["key"], frame["data"]) for frame in frames]


async def test_what_changed_after_the_head_comes_by_its_change(database: str, channel: str) -> None:
    """A change that came between the head and the look at the entries is not shown twice."""
    await in_thread(lambda: fill(channel, ["a", "b", "c"]))
    await in_thread(lambda: do(SetStorage(channel, "b", b"2", None, "null", None)))
    shown = Shown(channel, {"*": {"observe": True}})
    assert await shown.show(head=3) == [("a", 1), ("c", 1)]
    assert await Shown(channel, shown.observed).show(head=4) == [("a", 1), ("b", 2), ("c", 1)]


async def test_more_than_a_page_is_shown(database: str, channel: str) -> None:
    keys = [f"{at:04}" for at in range(200)]
    await in_thread(lambda: fill(channel, keys))
    assert [key for key, _ in await Shown(channel, {"*": {"observe": True}}).show(200)] == keys


async def test_who_observes_nothing_costs_no_read(
    database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "read", None)
    assert await Shown(channel, {"*": {"get": True, "observe": False}}).show(head=9) == []


async def test_another_channel_has_other_entries(database: str, channel: str) -> None:
    await in_thread(lambda: fill(channel, ["a"]))
    assert await keys_of(f"{channel}-2") == []
    assert await asyncio.gather(keys_of(channel), keys_of(channel)) == [["a"], ["a"]]

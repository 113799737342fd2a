"""How often a process counts for those who follow a channel (protocol.md section 19)."""

import asyncio
import threading
from collections.abc import Iterable
from typing import cast

import pytest

from chat.fanout.occupancy import Followers
from chat.fanout.send_queue import SendQueue
from chat.runtime import occupancy
from chat.runtime.occupancy import SECONDS, Occupancy
from tests.support.calls import LIMIT_SECONDS


async def turns() -> None:
    """What can begin has begun."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def counted(sqlite: None, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The channels of each count."""
    asked: list[set[str]] = []
    count_of = occupancy.count_of

    def noted(channels: Iterable[str]) -> dict[str, int]:
        asked.append(set(channels))
        return count_of(channels)

    monkeypatch.setattr(occupancy, "count_of", noted)
    return asked


async def test_those_who_ask_at_the_same_time_share_the_next_count(
    counted: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that has begun, which may have missed them; there is one at a time."""
    go_on, at_once = threading.Event(), occupancy.count_of

    def held(channels: Iterable[str]) -> dict[str, int]:
        counts = at_once(channels)
        assert go_on.wait(LIMIT_SECONDS)
        counted.append(set())  # the end
        return counts

    monkeypatch.setattr(occupancy, "count_of", held)
    counting = Occupancy(Followers())
    first = asyncio.create_task(counting.count(["a"]))
    await turns()
    later = [asyncio.create_task(counting.count([name])) for name in ("a", "b", "b", "c")]
    await turns()
    go_on.set()
    answers = await asyncio.gather(first, *later)
    assert counted == [{"a"}, set(), {"a", "b", "c"}, set()]
    assert answers == [{"a": 0}, *[{"a": 0, "b": 0, "c": 0}] * 4]


async def test_what_is_followed_is_counted_once_a_second_at_most(counted: list[set[str]]) -> None:
    """And nothing else."""
    counting = Occupancy(Followers())
    assert await counting.tell() is None
    assert counted == []
    for channel in ("a", "b"):
        counting.follow(channel, "jim", cast("SendQueue", None), told=0)
    assert (await counting.tell() or 0) >= SECONDS
    assert counted == [{"a", "b"}]

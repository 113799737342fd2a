"""Work that a process repeats while it serves."""

import asyncio
from collections.abc import Iterator

import pytest

from chat.runtime.recurring import repeat
from chat.store.databases import DatabaseUnavailable


async def test_it_goes_on_after_a_failure_and_sooner_where_it_is_told_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = DatabaseUnavailable("Away.", cause=OSError("no route to host"))
    outcomes: Iterator[float | Exception | None] = iter([away, 0.0, 3600.0, None])
    calls: asyncio.Queue[float | None] = asyncio.Queue()
    sooner = asyncio.Event()

    async def do() -> float | None:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        calls.put_nowait(outcome)
        return outcome

    repeating = asyncio.create_task(repeat("work", do, sooner=sooner, retry_seconds=0))
    async with asyncio.timeout(10):
        assert [await calls.get() for _ in range(2)] == [0.0, 3600.0]
        sooner.set()
        assert await calls.get() is None
    repeating.cancel()
    assert caplog.messages == ["work failed, next try in 0 s: Away. (no route to host)"]

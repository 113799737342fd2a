"""Background tasks under their supervisor (P7, P8)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from chat.runtime import background
from chat.runtime.background import MAX_FAILURES, BackgroundTasks


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def failing() -> None:
    raise ZeroDivisionError


async def ending() -> None: ...


async def cancelled_within_itself() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("ends", [failing, ending, cancelled_within_itself])
async def test_a_task_that_ends_is_logged_and_starts_again(
    ends: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.001)
    tasks, failed, runs = BackgroundTasks(lambda: failed.append(True)), [], 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < MAX_FAILURES:
            await ends()
        else:
            await asyncio.Event().wait()

    task = tasks.start("reaper", run)
    await until(lambda: runs == MAX_FAILURES)
    await until(lambda: tasks.problems() == [])
    assert failed == []
    said, again = caplog.records[::2], caplog.records[1::2]
    assert len(said) == len(again) == MAX_FAILURES - 1
    assert all(record.message.startswith("The reaper ") for record in said)
    assert ends is ending or all(record.exc_info for record in said)
    assert {record.message for record in again} == {"Background task restarted"}
    assert again[1].args == {"task": "reaper", "paused_seconds": 0.002}
    task.cancel()
    await asyncio.wait([task])


async def test_while_it_does_not_run_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 4)
    tasks = BackgroundTasks(lambda: None)
    task = tasks.start("reaper", failing)
    await until(lambda: bool(tasks.problems()))
    assert tasks.problems() == ["The reaper does not run; next try in 4 s."]
    task.cancel()
    await asyncio.wait([task])


async def test_tasks_that_fail_too_often_end_the_process_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.001)
    failed: list[bool] = []
    tasks = BackgroundTasks(lambda: failed.append(True))
    started = [tasks.start(name, failing) for name in ("reaper", "scheduler")]
    await asyncio.wait_for(asyncio.wait(started), 10)
    assert failed == [True]
    problems = [
        f"The {name} does not run; it failed too often." for name in ("reaper", "scheduler")
    ]
    assert tasks.problems() == problems
    assert [each.levelno for each in caplog.records].count(logging.CRITICAL) == 2


async def test_what_it_raises_when_it_is_cancelled_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waiting = asyncio.Event()

    async def run() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    task = BackgroundTasks(lambda: None).start("reaper", run)
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [record.message for record in caplog.records] == ["The reaper failed"]

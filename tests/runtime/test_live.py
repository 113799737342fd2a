"""What a process tells the live page, and what it keeps for it."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chat.counts import SECONDS, counts
from chat.fanout.announcements import Ephemeral
from chat.fanout.broker import MemoryBroker
from chat.fanout.hub import Hub, Subscriber
from chat.runtime import live
from chat.runtime.background import BackgroundTasks
from chat.runtime.connection import Connections
from chat.runtime.live import (
    CHECK_SECONDS,
    LIVE,
    LOOKED_AT,
    LOOKED_SECONDS,
    SAMPLE_SECONDS,
    SAMPLES,
    LivePage,
)
from chat.store.writer import Writer
from tests.support.live import recording


class Clock:
    """Seconds, which pass as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Process:
    """One with viewers; `told` is what the other processes were notified of."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.told: list[tuple[object, ...]] = []
        self.hub = Hub(cast(Any, None), MemoryBroker())
        self.page = LivePage(
            "node",
            self.hub,
            Connections(lambda *_: None, 600, 570),
            cast(Writer, SimpleNamespace(waiting_bytes=7)),
            BackgroundTasks(lambda: None),
            lambda *said: self.told.append(said),
        )

    async def passes(self, seconds: float) -> None:
        for _ in range(int(seconds / CHECK_SECONDS)):
            self.clock.now += CHECK_SECONDS
            await self.page.check()

    def subscribe(self, channel: str, id: str) -> list[dict[str, Any]]:
        """The list of what it gets."""
        queue, sent = recording()
        subscriber = Subscriber(id, queue)
        self.hub.subscribe(channel, subscriber)
        self.hub.release(channel, subscriber, 0)
        return sent


def data(sent: dict[str, Any]) -> Any:
    return json.loads(sent["text"])["data"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "_now", clock)
    return clock


@pytest.fixture
async def process(clock: Clock) -> Process:
    return Process(clock)


async def test_who_begins_to_look_gets_all_samples_and_then_each_new_one(process: Process) -> None:
    await process.passes(3 * SAMPLE_SECONDS)
    sent = process.subscribe(LIVE, "jim")
    await process.passes(CHECK_SECONDS)
    assert [len(data(each)["samples"]) for each in sent] == [4]  # with one of this moment
    await process.passes(2 * SAMPLE_SECONDS)
    assert [len(data(each)["samples"]) for each in sent] == [4, 1, 1]
    ats = [sample[0] for each in (sent[0], *sent[2:]) for sample in data(each)["samples"]]
    assert ats == sorted(set(ats))


async def test_no_more_than_an_hour_is_kept(process: Process) -> None:
    await process.passes(SAMPLE_SECONDS * (SAMPLES + 5))
    sent = process.subscribe(LIVE, "jim")
    await process.passes(CHECK_SECONDS)
    samples = data(sent[0])["samples"]
    assert len(samples) == SAMPLES + 1
    assert samples[-1][0] - samples[0][0] <= 3600 + SAMPLE_SECONDS


async def test_nothing_is_sent_where_nobody_looks(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[object] = []
    monkeypatch.setattr(process.hub, "announce", announced.append)
    await process.passes(3 * SAMPLE_SECONDS)
    assert (announced, process.told) == ([], [])
    process.page.look(True)  # in another process
    await process.passes(LOOKED_SECONDS + 3 * SAMPLE_SECONDS)
    assert 0 < len(announced) <= 1 + LOOKED_SECONDS / SAMPLE_SECONDS


async def test_the_other_processes_are_told_while_somebody_looks(process: Process) -> None:
    process.subscribe(LIVE, "jim")
    await process.passes(LOOKED_SECONDS)
    process.subscribe(LIVE, "pam")
    await process.passes(CHECK_SECONDS)
    new = [is_new for kind, is_new in process.told if kind == LOOKED_AT]
    assert new == [True, False, False, True]


async def test_a_hundred_viewers_who_come_at_once_share_what_is_sent(process: Process) -> None:
    sent = [process.subscribe(LIVE, str(number)) for number in range(100)]
    for _ in range(10):
        process.page.look(True)
        await process.page.check()
    await asyncio.sleep(0.01)  # the flusher's turn
    assert {len(each) for each in sent} == {1}


async def test_rates_are_since_the_sample_before(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await process.passes(SAMPLE_SECONDS)
    monkeypatch.setattr(counts, "ephemeral", counts.ephemeral + 50)
    monkeypatch.setattr(counts, "replies", counts.replies + 20)
    for _ in range(100):
        counts.loop_lag_seconds.observe(0.003)
    counts.refusals["websocket", "INVALID_MESSAGE"] += 1
    await process.passes(SAMPLE_SECONDS)
    sent = process.subscribe(LIVE, "jim")
    await process.passes(CHECK_SECONDS)
    _, sample, _ = data(sent[0])["samples"]
    at, connections, subscriptions, received, frames, publish, unsent, uncommitted, *rest = sample
    assert (at, connections, subscriptions) == (1020, 0, 0)
    assert (received, frames, publish, unsent, uncommitted) == (5, 2, None, 0, 7)
    assert rest == [0, 6, pytest.approx(4.97, abs=0.02)]


async def test_the_busiest_channels_are_told_without_the_page_s_own(process: Process) -> None:
    sent = process.subscribe(LIVE, "jim")
    for number in range(15):
        process.subscribe(f"room-{number}", "pam")
    process.subscribe("room-14", "kim")
    await process.passes(SAMPLE_SECONDS)
    for number in range(15):
        process.hub.announce(Ephemeral(f"room-{number}", 0, [b"\x81\x00"] * number * 10))
    await process.passes(SAMPLE_SECONDS)
    busiest = data(sent[-1])["channels"]
    assert busiest[0] == ["room-14", 14, 2]
    assert [name for name, *_ in busiest] == [f"room-{number}" for number in range(14, 4, -1)]
    await process.passes(SAMPLE_SECONDS)
    assert data(sent[-1])["channels"] == []


async def test_where_it_fails_the_process_goes_on(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process.subscribe(LIVE, "jim")
    monkeypatch.setattr(process.hub, "announce", None)
    assert await process.page.check() == SAMPLE_SECONDS
    assert caplog.messages == ["The live page could not be told"]


async def test_tasks_are_told_with_their_failures(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "task_failures", type(counts.task_failures)({"reaper": 2}))
    sent = process.subscribe(LIVE, "jim")
    await process.passes(CHECK_SECONDS)
    assert data(sent[-1])["tasks"] == [["reaper", 2, 0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([0.0001] * 100, pytest.approx(0.495, abs=0.01)),
        ([0.003] * 99 + [1], pytest.approx(5)),
        ([0.003] * 90 + [0.7] * 10, pytest.approx(950)),
        ([60], 10_000),
    ],
)
def test_p99(values: list[float], expected: float | None) -> None:
    buckets = [0] * (len(SECONDS) + 1)
    for value in values:
        buckets[sum(bound < value for bound in SECONDS)] += 1
    assert live._ms(buckets) == expected

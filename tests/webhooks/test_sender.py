"""The webhook's queue and its worker: whose turn it is, in what order, how often it is tried."""

import asyncio
import contextlib
import json
import re
import runpy
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings

from chat import webhooks as webhook
from chat.models import BackendEvent
from chat.protocol.publication import Source
from chat.store.operations.messages import PublishMessage
from chat.store.transaction import Transaction
from chat.store.writer import Writer, commit
from chat.webhooks import Batch, Claim, QueuedEvent, Settle, Webhook, due, retry_seconds
from tests.support.client import eventually
from tests.support.configuring import Setter
from tests.support.databases import in_thread
from tests.support.servers import ROOT
from tests.support.webhook_receiver import Delivery, Receiver
from tests.support.written import do, ephemeral, store

SOURCE = Source("server.python")


@pytest.fixture(autouse=True)
def configured(set_chat: Setter, database: str) -> None:
    """A webhook, and no event of another test."""
    set_chat(WEBHOOK_URL="http://127.0.0.1:1/")
    BackendEvent.objects.all().delete()


def report(channel: str, *data: int) -> None:
    do(*(ephemeral(channel, str(each), SOURCE) for each in data))


def claim(*streams: str) -> list[Batch]:
    """Of these streams, as a notification would."""
    [runs] = do(Claim(dict.fromkeys(streams, ())))
    return list(runs)


def said(run: Batch) -> list[int]:
    return [json.loads(event.body)["data"]["data"] for event in run.events]


def settle(run: Batch, *, delivered: int = 0, **outcome: Any) -> bool:
    done = [event.id for event in run.events[:delivered]]
    [parked] = do(Settle(run.stream, done, **outcome))
    return bool(parked)


def fail(run: Batch, error: str = "HTTP 500") -> bool:
    return settle(run, failed=run.events[0], error=error)


def row(event: QueuedEvent) -> BackendEvent:
    return BackendEvent.objects.get(id=event.id)


def let_pass(seconds: float) -> None:
    """As if so much time had passed for all that waits."""
    for each in BackendEvent.objects.exclude(next_attempt_at=None):
        each.next_attempt_at -= timedelta(seconds=seconds)  # type: ignore[operator]
        each.created_at -= timedelta(seconds=seconds)
        each.save()


# --- whose turn it is ---------------------------------------------------------------------------


def test_a_stream_is_claimed_by_one_and_in_order(channel: str) -> None:
    report(channel, 1, 2, 3)
    [run] = claim(channel)
    assert said(run) == [1, 2, 3]
    assert claim(channel) == []
    report(channel, 4)
    assert claim(channel) == []


def test_what_was_delivered_goes_and_the_next_is_due(channel: str) -> None:
    report(channel, 1, 2, 3)
    [run] = claim(channel)
    assert not settle(run, delivered=2)
    [rest] = claim(channel)
    assert said(rest) == [3]
    assert BackendEvent.objects.count() == 1


def test_a_claim_that_is_not_settled_ends(channel: str) -> None:
    report(channel, 1)
    [run] = claim(channel)
    let_pass(webhook.CLAIM_SECONDS - 1)
    assert claim(channel) == []
    let_pass(1)
    assert claim(channel) == [run]


def test_of_two_at_once_one_claims(channel: str) -> None:
    report(channel, 1)
    outcomes: list[Any] = []
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        outcomes.extend(commit([Claim({channel: ()})]))
        connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, outcomes)) == [0, 0, 0, 1]


def test_one_that_fails_waits_and_so_does_what_follows(channel: str) -> None:
    report(channel, 1, 2)
    report(f"{channel}-b", 3)
    [run] = claim(channel)
    assert not fail(run)
    assert claim(channel) == []
    [other] = claim(channel, f"{channel}-b")
    assert said(other) == [3]
    failed = row(run.events[0])
    assert (failed.attempts, failed.last_error) == (1, "HTTP 500")
    let_pass(1.5)
    [again] = claim(channel)
    assert said(again) == [1, 2]
    assert again.events[0].webhook_id == run.events[0].webhook_id


def test_a_survey_finds_others_than_those_that_wait_behind_one(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "MAX_DUE", 3)
    report(channel, 1, 2, 3, 4)
    [run] = claim(channel)
    fail(run)
    report(f"{channel}-b", 5)
    found = due()
    assert {stream for _, stream in found} == {channel}
    do(Claim({channel: [id for id, _ in found]}))
    assert [stream for _, stream in due()] == [f"{channel}-b"]
    let_pass(1.5)
    assert [said(run) for run in claim(channel)] == [[1, 2, 3, 4]]


def test_one_that_is_a_day_old_is_parked_and_the_next_is_due(channel: str) -> None:
    report(channel, 1)
    let_pass(23.9 * 3600)
    report(channel, 2)
    [run] = claim(channel)
    assert not fail(run)
    let_pass(0.2 * 3600)
    [run] = claim(channel)
    assert fail(run)
    assert row(run.events[0]).next_attempt_at is None
    [after] = claim(channel)
    assert said(after) == [2]


def test_one_that_is_refused_for_good_is_parked_at_once(channel: str) -> None:
    report(channel, 1)
    [run] = claim(channel)
    assert fail(run, webhook.GONE)
    assert claim(channel) == []
    assert due() == []


def test_the_wait_doubles_up_to_an_hour_and_is_never_the_same() -> None:
    for failed in range(40):
        wait = min(2**failed, 3600)
        drawn = {retry_seconds(failed) for _ in range(20)}
        assert len(drawn) > 10
        assert all(0.75 * wait <= each <= 1.25 * wait for each in drawn)


def test_without_a_listener_nothing_is_encoded_or_written(
    channel: str, set_chat: Setter, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_chat(WEBHOOK_URL="")
    monkeypatch.setattr("chat.store.operations.messages.reports", None)
    operation = store(channel)
    operation.source = SOURCE
    do(operation)
    assert not BackendEvent.objects.exists()


@dataclass(slots=True)
class Failing(PublishMessage):
    """Fails after it has reported."""

    def apply(self, transaction: Transaction) -> str:
        PublishMessage.apply(self, transaction)
        raise RuntimeError


def test_what_fails_reports_nothing_and_what_is_tried_again_reports_once(channel: str) -> None:
    good = ephemeral(channel, "1", SOURCE)
    commit([good, Failing(channel, "chat", b"2", None, "null", None, 0, source=SOURCE)])
    [run] = claim(channel)
    assert said(run) == [1]


# --- the worker ---------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(described=False).listening() as receiver:
        yield receiver


@asynccontextmanager
async def working(receiver: Receiver) -> AsyncIterator[Writer]:
    writer = Writer(asyncio.get_running_loop(), lambda item: None, lambda: None)
    writer.start()
    environment = receiver.environment
    worker = Webhook(writer, environment["WEBHOOK_URL"], environment["WEBHOOK_SECRET"])
    task = asyncio.create_task(worker.run())
    try:
        yield writer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await writer.stop()


def of(*channels: str) -> Any:
    return lambda delivery: delivery.channel in channels


async def test_a_slow_stream_holds_up_no_other(receiver: Receiver, channel: str) -> None:
    go = threading.Event()
    slow, *fast = (f"{channel}-{number}" for number in range(12))
    receiver.status = lambda delivery: (delivery.channel != slow or go.wait(9)) and 200
    await in_thread(lambda: report(slow, 1, 2))
    for name in fast:
        await in_thread(lambda name=name: report(name, 1))
    async with working(receiver):
        await receiver.wait(len(fast), of(*fast))
        go.set()
        await receiver.wait(2, of(slow))


async def test_no_answer_in_time_is_a_failure(
    receiver: Receiver, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.2)
    seen: list[str] = []

    def status(delivery: Delivery) -> int:
        seen.append(delivery.id)
        if len(seen) == 1:
            time.sleep(1)
        return 200

    receiver.status = status
    await in_thread(lambda: report(channel, 1))
    async with working(receiver):
        first, second = await receiver.wait(2, of(channel))
    assert first.id == second.id


async def test_after_the_last_try_it_is_parked_and_the_next_ones_go_on(
    receiver: Receiver, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(webhook, "POLL_SECONDS", 0.01)
    receiver.status = lambda delivery: 500 if delivery.body["data"]["data"] == 1 else 200
    await in_thread(lambda: report(channel, 1, 2))
    async with working(receiver):
        await receiver.wait(2, of(channel))
        long_ago = datetime.now(UTC) - timedelta(days=2)
        await in_thread(lambda: BackendEvent.objects.update(created_at=long_ago))
        [delivered] = await receiver.wait(1, lambda found: found.answered == 200)
        assert delivered.body["data"]["data"] == 2
        await eventually(lambda: in_thread(lambda: BackendEvent.objects.count() == 1))
    [parked] = await in_thread(lambda: list(BackendEvent.objects.all()))
    assert (parked.next_attempt_at, parked.last_error) == (None, "HTTP 500")
    assert parked.attempts == len(receiver.deliveries) - 1 > 1


async def test_what_is_under_way_when_it_ends_is_given_back(
    receiver: Receiver, channel: str
) -> None:
    requested, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def status(delivery: Delivery) -> int:
        if delivery.body["data"]["data"] == 2:
            loop.call_soon_threadsafe(requested.set)
            go.wait(9)
        return 200

    receiver.status = status
    await in_thread(lambda: report(channel, 1, 2))
    async with working(receiver):
        await asyncio.wait_for(requested.wait(), 9)
    now = datetime.now(UTC)
    [left] = await in_thread(lambda: list(BackendEvent.objects.all()))
    go.set()
    assert '"data":2' in left.body
    assert left.next_attempt_at is not None
    assert left.next_attempt_at <= now


async def test_its_own_process_wakes_it_at_once(
    receiver: Receiver, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "POLL_SECONDS", 60)
    async with working(receiver) as writer:
        await writer.submit(ephemeral(channel, "1", SOURCE))
        await receiver.wait(1, of(channel))
        await writer.submit(ephemeral(channel, "2", SOURCE))
        await receiver.wait(2, of(channel))


async def test_many_events_of_many_streams(receiver: Receiver, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(25)]
    for name in names:
        await in_thread(lambda name=name: report(name, *range(10)))
    async with working(receiver):
        found = await receiver.wait(250, of(*names))
    for name in names:
        order = [each.body["data"]["data"] for each in found if each.channel == name]
        assert order == list(range(10))


# --- the receiver that docs/webhooks.md shows ----------------------------------------------------


async def test_the_documented_receiver_takes_what_is_sent_and_nothing_else(
    receiver: Receiver, channel: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    await in_thread(lambda: report(channel, 7))
    async with working(receiver):
        [sent] = await receiver.wait(1, of(channel))
    page = (ROOT / "docs" / "webhooks.md").read_text()
    [code, *_] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("WEBHOOK_SECRET", receiver.secret)
    (tmp_path / "urls.py").write_text(code)
    urls = ModuleType("urls")
    vars(urls).update(runpy.run_path(str(tmp_path / "urls.py")))

    def post(body: str | bytes, **headers: str) -> int:
        sender = Client(enforce_csrf_checks=True, headers=sent.headers | headers)
        return sender.post("/hook", body, content_type="application/json").status_code

    with override_settings(ROOT_URLCONF=urls):
        assert await in_thread(lambda: post(sent.text)) == 204
        assert capsys.readouterr().out == f"{channel} 7\n"
        for body, signature in [
            (sent.text.replace("7", "8"), sent.headers["webhook-signature"]),
            (sent.text, "v1,forged"),
            (sent.text, "forged"),
            (b"\xff", sent.headers["webhook-signature"]),
        ]:
            forged = {"webhook-signature": signature}
            assert await in_thread(lambda body=body, forged=forged: post(body, **forged)) == 400

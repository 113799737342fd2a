"""Functions that receive backend events: after the commit, in order, and holding up nobody."""

import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chat.models import BackendEvent, Message
from chat.protocol.publication import Source
from chat.signals import backend_event
from chat.store import reports
from chat.store.operations.messages import PublishMessage
from chat.store.reports import Report
from tests.support.written import do, ephemeral, store

SOURCE = Source("server.python")


class Receiver:
    """A function that is connected: what it got, in order; `then` is what it does with each."""

    def __init__(self) -> None:
        self.events: queue.Queue[Report] = queue.Queue()
        self.then: Any = None

    def __call__(self, event: Report, **kwargs: Any) -> None:
        if self.then is not None:
            self.then(event)
        self.events.put(event)

    def next(self) -> Report:
        return self.events.get(timeout=10)


@pytest.fixture
def receiver(sqlite: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    renew_thread(monkeypatch)
    receiver = Receiver()
    backend_event.connect(receiver)
    yield receiver
    backend_event.disconnect(receiver)


def renew_thread(monkeypatch: pytest.MonkeyPatch, limit: int = 0) -> None:
    monkeypatch.setattr(reports._receivers, "_queue", queue.Queue(limit))
    monkeypatch.setattr(reports._receivers, "_thread", None)


def reporting(channel: str, data: int) -> PublishMessage:
    return ephemeral(channel, str(data), SOURCE, id="01J")


def test_a_receiver_gets_what_the_webhook_would(receiver: Receiver, channel: str) -> None:
    message = store(channel, "18446744073709551616")
    message.source = SOURCE
    [id] = do(message)
    event = receiver.next()
    assert (event.type, event.data_type) == ("hotsock.messagePublished", "message")
    assert event.metadata["trigger"] == "server.python"
    assert event.data["id"] == id
    assert b'"data":18446744073709551616' in event.body
    assert event.id.startswith("msg_")
    assert not BackendEvent.objects.filter(stream=channel).exists()


def test_it_is_called_after_the_commit_in_order(receiver: Receiver, channel: str) -> None:
    def look(event: Report) -> None:
        assert Message.objects.filter(id=event.data["id"]).exists()

    receiver.then = look
    for number in range(5):
        message = store(channel, str(number))
        message.source = SOURCE
        do(message)
    assert [receiver.next().data["data"] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_what_one_raises_is_logged_and_the_others_go_on(
    receiver: Receiver, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Report, **kwargs: Any) -> None:
        raise ValueError("no")

    backend_event.connect(fail)
    try:
        do(reporting(channel, 1))
        do(reporting(channel, 2))
        assert [receiver.next().data["data"], receiver.next().data["data"]] == [1, 2]
    finally:
        backend_event.disconnect(fail)
    assert any(record.exc_info for record in caplog.records)


def test_a_coroutine_function_may_be_a_receiver(receiver: Receiver, channel: str) -> None:
    seen: queue.Queue[Report] = queue.Queue()

    async def put(event: Report, **kwargs: Any) -> None:
        seen.put(event)

    backend_event.connect(put)
    try:
        do(reporting(channel, 1))
        assert seen.get(timeout=10).data["data"] == 1
    finally:
        backend_event.disconnect(put)


def test_a_slow_one_holds_up_no_commit_and_what_is_too_much_is_dropped_and_logged(
    receiver: Receiver,
    channel: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    renew_thread(monkeypatch, limit=3)
    begun, go = threading.Event(), threading.Event()

    def hang(event: Report) -> None:
        begun.set()
        assert go.wait(10)

    receiver.then = hang
    do(reporting(channel, 0))
    assert begun.wait(10)
    with caplog.at_level(logging.ERROR, "chat.receivers"):
        do(*(reporting(channel, number) for number in range(1, 6)))
    go.set()
    assert [receiver.next().data["data"] for _ in range(4)] == [0, 1, 2, 3]
    assert "2 events dropped" in caplog.text


def test_what_is_committed_does_not_fail_where_a_listener_does(
    receiver: Receiver, channel: str
) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError

    reports.committed.connect(fail)
    first, second = store(channel, "1"), store(channel, "2")
    first.source = SOURCE
    do(first, second)
    assert Message.objects.filter(channel__name=channel).count() == 2


def test_nothing_is_reported_where_nobody_listens(sqlite: None, channel: str) -> None:
    assert not reports.listening()
    do(reporting(channel, 1))
    assert not BackendEvent.objects.filter(stream=channel).exists()

"""`chat.api`: publishing from Python, within the caller's transaction (docs/python.md)."""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.utils.translation import gettext_lazy

from chat import api
from chat.fanout.hub import Subscriber
from chat.models import Channel, Message, Schedule, StorageEntry
from chat.runtime import node as nodes
from chat.store.databases import Connection, DatabaseUnavailable
from chat.store.outbox import TakeEntries
from tests.support.client import eventually
from tests.support.databases import in_thread
from tests.support.live import recording
from tests.support.written import do


def stored(channel: str) -> list[str]:
    return list(Message.objects.of(channel).order_by("id").values_list("data", flat=True))


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that fails at its end."""
    try:
        with transaction.atomic():
            yield
            raise LookupError
    except LookupError:
        pass


def code(call: Callable[[], object]) -> str:
    with pytest.raises(api.ProtocolError) as refused:
        call()
    assert refused.value.message.endswith(".")
    return refused.value.code


# --- without a server in this process -----------------------------------------------------------


def test_a_stored_message_has_an_id_and_no_sender(database: str, channel: str) -> None:
    receipt = api.publish(channel, "chat", {"a": [1, None, "é"]}, store=-1)
    row = Message.objects.get(id=receipt.id)
    assert (receipt.channel, receipt.event, receipt.schedule_arn) == (channel, "chat", None)
    assert (row.event, row.data, row.by_server, row.uid) == (
        "chat",
        '{"a":[1,null,"é"]}',
        True,
        None,
    )
    assert Channel.objects.get(name=channel).number == row.number == 1


def test_data_is_what_django_can_write_as_json(database: str, channel: str) -> None:
    when, id = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), uuid.UUID(int=7)
    data = [when, id, Decimal("1.10"), gettext_lazy("hi"), 2**64, {1: 2}]
    api.publish(channel, "chat", data, store=-1)
    [text] = stored(channel)
    assert text == f'["2026-01-02T03:04:05Z","{id}","1.10","hi",18446744073709551616,{{"1":2}}]'


def deep(levels: int) -> Any:
    data: Any = 1
    for _ in range(levels):
        data = [data]
    return data


circular: list[Any] = []
circular.append(circular)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (float("nan"), "INVALID_MESSAGE"),
        ([float("inf")], "INVALID_MESSAGE"),
        (object(), "INVALID_MESSAGE"),
        ({(1, 2): 3}, "INVALID_MESSAGE"),
        (circular, "INVALID_MESSAGE"),
        ("\x00", "INVALID_MESSAGE"),
        ("\ud800", "INVALID_MESSAGE"),
        (deep(101), "INVALID_MESSAGE"),
        (deep(100_000), "INVALID_MESSAGE"),
        ("x" * 32_767, "DATA_TOO_LARGE"),
    ],
    ids=range(10),
)
def test_data_is_checked_as_the_wires_is(
    sqlite: None, channel: str, data: Any, expected: str
) -> None:
    assert code(lambda: api.publish(channel, "chat", data, store=-1)) == expected
    assert code(lambda: api.set_storage(channel, "k", data)) == expected
    assert not Channel.objects.filter(name=channel).exists()


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        (("a b", "chat"), {}, "INVALID_CHANNEL_NAME"),
        ((None, "chat"), {}, "INVALID_CHANNEL_NAME"),
        (("c", "*"), {}, "INVALID_EVENT_NAME"),
        (("c", "hotsock.ping"), {}, "UNKNOWN_EVENT"),
        (("c", 7), {}, "INVALID_MESSAGE"),
        (("c", "chat"), {"store": -2}, "INVALID_REQUEST"),
        (("c", "chat"), {"store": "1"}, "INVALID_MESSAGE"),
        (("c", "chat"), {"deduplication_id": "x" * 129}, "INVALID_REQUEST"),
        (("c", "chat"), {"at": "soon"}, "INVALID_SCHEDULE_EXPRESSION"),
        (("c", "chat"), {"at": datetime(2020, 1, 1)}, "INVALID_SCHEDULE_EXPRESSION"),
        (("c", "chat"), {"at": "at(2999-01-01T00:00:00)", "timezone": "x"}, None),
        (("c", "chat"), {}, "INVALID_REQUEST"),  # not stored, and no server here
    ],
    ids=range(12),
)
def test_what_is_wrong_is_told(
    sqlite: None, arguments: tuple[Any, Any], options: Any, expected: str | None
) -> None:
    expected = expected or "INVALID_SCHEDULE_EXPRESSION"
    assert code(lambda: api.publish(*arguments, **options)) == expected


def test_an_unknown_option_is_a_mistake_of_the_caller(sqlite: None) -> None:
    with pytest.raises(TypeError, match="sotre"):
        api.publish("c", "chat", sotre=1)  # type: ignore[call-arg]


def test_it_waits_and_so_refuses_to_on_an_event_loop(sqlite: None, channel: str) -> None:
    async def on_the_loop() -> None:
        api.publish(channel, "chat", store=-1)

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(on_the_loop())


async def test_the_asynchronous_face(database: str, channel: str) -> None:
    receipt = await api.apublish(channel, "chat", 1, store=-1)
    await api.aset_storage(channel, "k", 2)
    await api.areact(channel, receipt.id or "", "👍", "robot")
    info = await api.achannel_info(channel)
    assert info == api.ChannelInfo(channel, 0, None)
    later = await api.apublish(channel, "chat", at="at(2999-01-01T00:00:00)")
    assert await api.acancel_schedule(later.schedule_arn or "")
    numbers = await in_thread(lambda: Channel.objects.get(name=channel).number)
    assert numbers == 3


def test_an_empty_presence_channel_has_no_members(database: str, channel: str) -> None:
    assert api.channel_info(f"presence.{channel}").members == []
    assert code(lambda: api.channel_info("a b")) == "INVALID_CHANNEL_NAME"


def test_storage_is_set_and_cleared(database: str, channel: str) -> None:
    api.set_storage(channel, "k", {"a": 1}, store=60)
    row = StorageEntry.objects.live().of(channel).get()
    assert (row.key, row.data, row.by_server) == ("k", '{"a":1}', True)
    assert row.expires_at is not None
    api.set_storage(channel, "k", None)
    assert not StorageEntry.objects.live().of(channel).exists()


def test_json_stays_as_it_is(database: str, channel: str) -> None:
    api.publish_json(channel, "chat", '{"a": 1.10, "a": 2}', store=-1)
    assert stored(channel) == ['{"a": 1.10, "a": 2}']
    for text in ("", "{", '1,"channel":"other"', "NaN"):
        assert (
            code(lambda text=text: api.publish_json(channel, "chat", text, store=-1))
            == "INVALID_MESSAGE"
        )


@pytest.mark.parametrize(
    ("at", "zone", "due"),
    [
        (datetime(2999, 7, 1, 12, tzinfo=timezone(timedelta(hours=5))), None, "07:00:00"),
        (datetime(2999, 7, 1, 12, tzinfo=UTC), "Europe/Paris", "12:00:00"),
        (datetime(2999, 7, 1, 12), None, "12:00:00"),
        (datetime(2999, 7, 1, 12), "Asia/Kolkata", "06:30:00"),
        (datetime(2999, 7, 1, 11, 59, 59, 1, tzinfo=UTC), None, "12:00:00"),
        ("at(2999-07-01T12:00:00)", "Asia/Kolkata", "06:30:00"),
    ],
    ids=range(6),
)
def test_a_moment_may_be_given_in_any_way(
    sqlite: None, channel: str, at: Any, zone: str | None, due: str
) -> None:
    options: Any = {"timezone": zone} if zone else {}
    receipt = api.publish(channel, "chat", at=at, **options)
    row = Schedule.objects.get(id=receipt.schedule_arn)
    assert row.due_at.strftime("%Y-%m-%d %H:%M:%S") == f"2999-07-01 {due}"
    assert receipt.id is None
    assert api.cancel_schedule(row.id)


# --- within the caller's transaction ------------------------------------------------------------


def test_what_is_rolled_back_is_not_stored(database: str, channel: str) -> None:
    with rolled_back():
        api.publish(channel, "chat", 1, store=-1)
        api.set_storage(channel, "k", 1)
        api.publish(channel, "chat", at="at(2999-01-01T00:00:00)")
    assert do(TakeEntries(channel)) == [None]
    assert stored(channel) == []
    assert Channel.objects.get(name=channel).number == 0


def test_a_part_can_be_rolled_back(database: str, channel: str) -> None:
    with transaction.atomic():
        api.publish(channel, "chat", 1, store=-1)
        with rolled_back():
            api.publish(channel, "chat", 2, store=-1)
        api.publish(channel, "chat", 3, store=-1)
    do(TakeEntries(channel))
    assert stored(channel) == ["1", "3"]
    assert Channel.objects.get(name=channel).number == 2


def test_after_a_refusal_the_callers_transaction_goes_on(sqlite: None, channel: str) -> None:
    with transaction.atomic():
        assert code(lambda: api.react(channel, "0" * 26, "👍", "robot")) == "MESSAGE_NOT_FOUND"
        api.publish(channel, "chat", 1, store=-1)
    assert stored(channel) == ["1"]


def test_a_repeat_within_one_transaction(database: str, channel: str) -> None:
    with transaction.atomic():
        first = api.publish(channel, "chat", 1, store=-1, deduplication_id="x")
        assert api.publish(channel, "chat", 2, store=-1, deduplication_id="x") == first
        assert first.pending is (database == "postgres")
    later = api.publish(channel, "chat", 3, store=-1, deduplication_id="x")
    [only] = Message.objects.of(channel)
    assert (only.data, later.id, first.id or only.id) == ("1", only.id, only.id)


def test_a_database_that_stays_locked_is_told_within_its_patience(
    sqlite: None, channel: str
) -> None:
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            locked.set()
            done.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    connection.ensure_connection()
    connection.connection.execute("PRAGMA busy_timeout = 100")
    try:
        assert code(lambda: api.publish(channel, "chat", store=-1)) == "SERVICE_UNAVAILABLE"
    finally:
        done.set()
        holder.join()
        connection.close()
    api.publish(channel, "chat", 1, store=-1)
    assert stored(channel) == ["1"]


def test_a_commit_without_an_answer_is_not_called_undone(
    postgres_default: None, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Connection.commit

    def lose_answer(driver: Connection) -> None:
        commit(driver)
        monkeypatch.undo()
        driver.close()
        raise psycopg.OperationalError("lost")

    connection.ensure_connection()
    monkeypatch.setattr(Connection, "commit", lose_answer)
    publish = partial(api.publish, channel, "chat", 1, store=-1, deduplication_id="once")
    with pytest.raises(api.ProtocolError) as refused:
        publish()
    assert refused.value.message == api.OUTCOME_UNKNOWN
    publish()
    assert stored(channel) == ["1"]


# --- beside the server of this process ----------------------------------------------------------


class Listener:
    """A subscriber of this process's own server, which runs in a thread."""

    def __init__(self) -> None:
        self._got: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.node = self.on_the_loop(nodes.current())

    def on_the_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _subscribe(self, channel: str) -> None:
        send_queue, self._got = recording()
        subscriber = Subscriber("listener", send_queue)
        self.node.hub.subscribe(channel, subscriber)
        self.node.hub.release(channel, subscriber, 0)

    def listen(self, channel: str) -> None:
        self.on_the_loop(self._subscribe(channel))

    def heard(self, count: int) -> list[str]:
        """What came, once it is so many; then for a moment nothing more may come."""

        async def enough() -> bool:
            await asyncio.sleep(0.01)
            return len(self._got) >= count

        self.on_the_loop(eventually(enough))
        return [str(json.loads(message["text"])["data"]) for message in self._got]

    def end(self) -> None:
        self.on_the_loop(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        nodes._nodes.pop(self._loop)
        self._loop.close()


@pytest.fixture
def listener(database: str, channel: str) -> Iterator[Listener]:
    listener = Listener()
    listener.listen(channel)
    yield listener
    listener.end()


def test_it_goes_through_that_server(listener: Listener, channel: str) -> None:
    api.publish(channel, "chat", 1)
    api.publish(channel, "chat", 2, store=-1)
    api.publish(channel, "chat", 3, deduplication_id="x")
    api.publish(channel, "chat", 4, deduplication_id="x")
    api.publish(channel, "chat", 5)
    assert listener.heard(4) == ["1", "2", "3", "5"]
    assert stored(channel) == ["2"]


def test_it_is_announced_with_the_callers_commit(listener: Listener, channel: str) -> None:
    with transaction.atomic():
        api.publish(channel, "chat", 1, store=-1)
        api.publish(channel, "chat", 2)
        api.publish(channel, "chat", 3, store=-1)
        assert listener.heard(0) == []
    assert listener.heard(3) == ["1", "2", "3"]


def test_what_follows_a_transaction_does_not_overtake_it(listener: Listener, channel: str) -> None:
    for number in range(5):
        with transaction.atomic():
            api.publish(channel, "chat", 3 * number, store=-1)
        api.publish(channel, "chat", 3 * number + 1)
        api.publish(channel, "chat", 3 * number + 2, store=-1)
    assert listener.heard(15) == [str(number) for number in range(15)]


def test_what_is_rolled_back_is_not_announced(listener: Listener, channel: str) -> None:
    with rolled_back():
        api.publish(channel, "chat", 1, store=-1)
        api.publish(channel, "chat", 2)
    api.publish(channel, "chat", 3, store=-1)
    assert listener.heard(1) == ["3"]


def test_what_the_event_loop_does_not_get_to_is_not_done(
    listener: Listener, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "TIMEOUT_SECONDS", 0.1)
    goes_on = threading.Event()
    listener.node.loop.call_soon_threadsafe(goes_on.wait)
    with pytest.raises(api.ProtocolError) as refused:
        api.publish(channel, "chat", 1, store=-1)
    assert refused.value.message == DatabaseUnavailable().message
    goes_on.set()
    monkeypatch.undo()
    api.publish(channel, "chat", 2, store=-1)
    assert stored(channel) == ["2"]


def test_what_waits_for_the_database_is_not_called_undone(
    listener: Listener, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.publish(channel, "chat", 1, store=-1)
    monkeypatch.setattr(api, "TIMEOUT_SECONDS", 0.1)
    with transaction.atomic():
        Channel.objects.select_for_update().get(name=channel)

        def publish() -> None:
            with pytest.raises(api.ProtocolError) as refused:
                api.publish(channel, "chat", 2, store=-1)
            assert refused.value.message == api.OUTCOME_UNKNOWN

        with ThreadPoolExecutor() as threads:
            threads.submit(publish).result()
    assert listener.heard(2) == ["1", "2"]

"""What a caller's transaction publishes on PostgreSQL: done after its commit, in order, once."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from chat import api
from chat.models import Message, OutboxEntry, Reaction, Schedule, StorageEntry
from chat.store import outbox
from chat.store.outbox import MAX_TAKEN, TakeEntries
from chat.store.set_aside import LATER
from chat.store.writer import MAX_BATCH, Writer, commit
from tests.support.configuring import Setter
from tests.support.databases import in_thread
from tests.support.written import do, publish_many, store

pytestmark = pytest.mark.usefixtures("postgres_default")


MESSAGE = (
    '{"version":1,"kind":"message","channel":"%s","event":"%s","data":1,"store":-1,"uid":null}'
)
TOO_LONG = MESSAGE % ("#", "e" * 1000)
WITHOUT_HEAD = MESSAGE % ("#-other", "chat")  # of a channel that is not the entry's


def stored(channel: str) -> list[str]:
    return list(Message.objects.of(channel).order_by("number").values_list("data", flat=True))


def problems(channel: str) -> list[str]:
    """Of the entries that are parked; no other may be left."""
    entries = OutboxEntry.objects.filter(channel=channel)
    assert not entries.filter(parked_at=None).exists()
    return list(entries.values_list("problem", flat=True))


async def test_it_locks_nothing_and_is_done_after_the_commit(channel: str) -> None:
    """Of every kind; a new channel's name is locked neither."""
    due = datetime.now(UTC) + timedelta(days=1)

    def publish() -> None:
        [message] = do(store(channel, "0"))
        arn = api.publish(channel, "chat", store=-1, at=due).schedule_arn or ""
        with transaction.atomic():
            pending = [
                api.publish(channel, "chat", 2, store=-1),
                api.publish(f"{channel}-new", "chat", 2, store=-1),
                api.set_storage(channel, "key", 2),
                api.react(channel, message, "👍", "robot"),
                api.publish(channel, "chat", "later", store=-1, at=due),
            ]
            assert {(each.pending, each.id, each.schedule_arn) for each in pending} == {
                (True, None, None)
            }
            assert api.cancel_schedule(arn) is None
            assert api.cancel_schedule("0" * 26) is False
            asyncio.run(in_thread(lambda: do(store(channel, "1"), store(f"{channel}-new", "1"))))

    await in_thread(publish)
    await in_thread(lambda: do(TakeEntries(channel), TakeEntries(f"{channel}-new")))

    def look() -> None:
        assert stored(channel) == ["0", "1", "2"]
        assert stored(f"{channel}-new") == ["1", "2"]
        assert StorageEntry.objects.of(channel).get().data == "2"
        assert Reaction.objects.filter(message__channel__name=channel).count() == 1
        assert '"data":"later"' in Schedule.objects.get(channel__name=channel).work
        assert problems(channel) == []

    await in_thread(look)


def test_a_write_outside_of_a_transaction_comes_behind_more_than_one_taking(channel: str) -> None:
    publish_many(channel, 2 * MAX_TAKEN + 1)
    api.publish(channel, "chat", "last", store=-1)
    texts = [*map('"{}"'.format, range(1, 2 * MAX_TAKEN + 2)), '"last"']
    assert stored(channel) == texts


def test_a_taking_is_bounded_in_bytes(channel: str) -> None:
    publish_many(channel, 6, size=2**20)
    assert commit([TakeEntries(channel)]) == [LATER]
    assert len(stored(channel)) == 4


@pytest.mark.parametrize("size", [1, 2**20])
def test_a_long_backlog_holds_up_no_other_channel(channel: str, size: int) -> None:
    other = f"{channel}-other"
    publish_many(channel, MAX_TAKEN + 1 if size == 1 else 6, size)
    publish_many(other, 1)
    assert commit([TakeEntries(channel), store(other, "2")])[0] is LATER
    assert stored(other) == ['"1"', "2"]


async def test_the_writer_keeps_order_and_lets_other_channels_pass(channel: str) -> None:
    order: list[str] = []
    writer = Writer(asyncio.get_running_loop(), lambda item: order.append(item.channel))
    other = f"{channel}-other"
    await in_thread(lambda: publish_many(channel, 2 * MAX_TAKEN + 1))
    names = [channel] * MAX_BATCH + [other]
    writes = [asyncio.ensure_future(writer.submit(store(name))) for name in names]
    await asyncio.sleep(0)
    writer.start()
    await asyncio.gather(*writes)
    await writer.stop()
    assert len(order) == 2 * MAX_TAKEN + MAX_BATCH + 2
    assert order.index(other) <= 2 * MAX_TAKEN
    assert await in_thread(lambda: stored(channel)[2 * MAX_TAKEN + 1 :]) == ["null"] * MAX_BATCH


def test_nothing_overtakes_what_waits_behind_entries_where_a_batch_fails(channel: str) -> None:
    """On that channel or of the same caller."""
    publish_many(channel, MAX_TAKEN + 1)
    bad, *writes = (store(f"{channel}{at}") for at in ("-bad", "", "", "-of-the-same", "-other"))
    bad.event = "e" * 1000
    writes[0].origin = writes[2].origin = "connection"
    outcomes = commit([bad, *writes])
    assert [outcome is LATER for outcome in outcomes] == [False, True, True, True, False]


def test_what_the_writer_refuses_is_parked(channel: str, caplog: Any) -> None:
    arn = api.publish(channel, "chat", at="at(2999-01-01T00:00:00)").schedule_arn or ""
    with transaction.atomic():
        api.react(channel, "0" * 26, "👍", "robot")
        api.publish(channel, "chat", 1, store=-1)
        api.cancel_schedule(arn)
        assert asyncio.run(in_thread(lambda: api.cancel_schedule(arn)))
    caplog.set_level(logging.ERROR, "chat.outbox")
    do(TakeEntries(channel))
    assert stored(channel) == ["1"]
    reasons = [
        "messageId names no stored message of this channel that you may read.",
        outbox.NO_SCHEDULE,
    ]
    assert problems(channel) == reasons
    assert [record.message.partition(": ")[2] for record in caplog.records] == reasons


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        ('{"version":7}', "This cannot be read: unknown version 7."),
        ("{", "This cannot be read: "),
        (TOO_LONG, "DataError: value too long"),
    ],
    ids=range(3),
)
def test_an_entry_that_fails_alone_is_parked_and_blocks_nothing(
    channel: str, work: str, problem: str
) -> None:
    publish_many(channel, 2)
    OutboxEntry.objects.create(channel=channel, work=work.replace("#", channel))
    publish_many(channel, 2)
    outcomes = commit([store(channel, "5"), store(f"{channel}-other")])
    if outcomes[0] is LATER:
        outcomes[:1] = commit([store(channel, "5")])
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
    assert stored(channel) == ['"1"', '"2"', '"1"', '"2"', "5"]
    [found] = problems(channel)
    assert found.startswith(problem)


@pytest.mark.parametrize("work", [TOO_LONG, WITHOUT_HEAD])
def test_a_process_without_a_server_parks_what_fails_too(channel: str, work: str) -> None:
    publish_many(channel, 1)
    OutboxEntry.objects.create(channel=channel, work=work.replace("#", channel))
    publish_many(channel, 1)
    api.publish(channel, "chat", 2, store=-1)
    assert stored(channel) == ['"1"', '"1"', "2"]
    assert len(problems(channel)) == 1


def test_deduplication_is_decided_in_one_order(channel: str) -> None:
    def publish(data: str) -> api.Receipt:
        return api.publish(channel, "chat", data, store=-1, deduplication_id="x")

    with transaction.atomic():
        publish("inside")
    receipt = publish("outside")
    assert stored(channel) == ['"inside"']
    assert (receipt.pending, receipt.id) == (False, Message.objects.of(channel).get().id)


def test_what_is_stored_later_comes_behind_an_ephemeral_message(channel: str) -> None:
    """Wherever the two are taken from the outbox, and announced."""
    announced: list[Any] = []
    with transaction.atomic():
        api.publish(channel, "chat", 1)
    commit([TakeEntries(channel)], announce=announced.extend)
    later = store(channel)
    do(later)
    assert later.change is not None
    assert [each.number for each in announced] == [later.change.previous]


def test_an_ephemeral_message_is_dropped_when_it_is_old(channel: str) -> None:
    announced: list[Any] = []
    for _ in range(2):
        with transaction.atomic():
            api.publish(channel, "chat", 1)
    first = OutboxEntry.objects.filter(channel=channel)[0]
    first.created_at -= timedelta(seconds=outbox.EPHEMERAL_SECONDS)
    first.save()
    commit([TakeEntries(channel)], announce=announced.extend)
    assert len(announced) == 1
    assert problems(channel) == []


@pytest.mark.parametrize("more", [{"entries": 2}, {"bytes": 3000}])
def test_no_more_waits_than_there_is_room_for(
    channel: str, more: dict[str, int], set_chat: Setter, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = OutboxEntry.objects.filter(parked_at=None).values_list("work", flat=True)
    set_chat(OUTBOX_MAX=len(works) + more.get("entries", 100))
    size = sum(map(len, works)) + more.get("bytes", 10_000)
    monkeypatch.setattr(outbox, "MAX_WAITING_BYTES", size)
    monkeypatch.setattr(outbox, "room", outbox.Room())
    data = "x" * 1000
    with transaction.atomic():
        for _ in range(2):
            api.publish(channel, "chat", data, store=-1)
        with pytest.raises(api.ProtocolError, match="writes wait for a server") as refused:
            api.publish(channel, "chat", data, store=-1)
    assert refused.value.code == "SERVICE_UNAVAILABLE"
    do(TakeEntries(channel))
    assert stored(channel) == [f'"{data}"'] * 2


def test_servers_are_woken_once_for_a_transaction(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(api, "_wake", lambda: woken.append(channel))
    for _ in range(2):
        with transaction.atomic():
            api.publish(channel, "chat")
            api.publish(channel, "chat")
            assert len(woken) < 2
    assert len(woken) == 2


def test_with_autocommit_off_it_is_part_of_the_callers_transaction(channel: str) -> None:
    """Whether it is stored or not, and after a failure, too."""
    for end in (transaction.rollback, transaction.commit):
        transaction.set_autocommit(False)
        try:
            for store_seconds in (-1, 0):
                assert api.publish(channel, "chat", store_seconds, store=store_seconds).pending
            with pytest.raises(api.ProtocolError):
                api.publish("\ud800", "chat")
            asyncio.run(in_thread(lambda: do(store(channel, "0"))))  # nothing is locked
            end()
        finally:
            transaction.set_autocommit(True)
    assert OutboxEntry.objects.filter(channel=channel).count() == 2
    api.publish(channel, "chat", "next")  # does not overtake
    assert stored(channel) == ["0", "0", "-1"]
    assert problems(channel) == []

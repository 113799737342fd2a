"""The task that takes from the outbox what nobody else writes behind."""

import asyncio
import threading
from functools import partial

import pytest
from django.db import connection, transaction

from chat import api
from chat.fanout.announcements import Announcement
from chat.models import Channel, OutboxEntry
from chat.runtime import recurring
from chat.runtime.recurring import take_from_outbox
from chat.store import writer as writers
from chat.store.writer import Writer
from tests.support.databases import in_thread
from tests.support.waiting import until
from tests.support.written import do, publish_many, store


@pytest.mark.usefixtures("postgres_default")
async def test_channels_that_somebody_has_locked_hold_up_no_other(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as a look finds."""
    monkeypatch.setattr(recurring, "CHANNELS_AT_ONCE", 1)
    taken: list[str] = []
    other, locked, release = f"{channel}-other", threading.Event(), threading.Event()

    def announce(item: Announcement) -> None:
        if item.channel in (channel, other):  # other tests leave entries, too
            taken.append(item.channel)

    writer = Writer(asyncio.get_running_loop(), announce)

    def hold() -> None:
        with transaction.atomic():
            Channel.objects.select_for_update(no_key=True).get(name=channel)
            locked.set()
            release.wait(10)
        connection.close()

    def publish() -> None:
        with transaction.atomic():
            api.publish(channel, "chat", store=-1)
            api.publish(other, "chat", store=-1)

    await in_thread(lambda: do(store(channel)))
    holding = asyncio.create_task(asyncio.to_thread(hold))
    await until(locked.is_set, "the lock")
    await in_thread(publish)
    writer.start()
    taking = asyncio.create_task(take_from_outbox(writer, asyncio.Event()))
    try:
        await until(lambda: taken, "the other channel's")
        assert taken == [other]
        release.set()
        await until(lambda: len(taken) == 2, "this channel's")
    finally:
        release.set()
        taking.cancel()
        await asyncio.gather(taking, holding, return_exceptions=True)
        await writer.stop()
    assert taken == [other, channel]


@pytest.mark.usefixtures("postgres_default")
async def test_what_a_full_queue_refuses_a_later_look_takes(
    channel: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[str] = []
    writer = Writer(asyncio.get_running_loop(), lambda item: taken.append(item.channel))
    writer.start()
    await in_thread(OutboxEntry.objects.all().delete)
    await in_thread(lambda: publish_many(channel, 1))
    monkeypatch.setattr(recurring, "repeat", partial(recurring.repeat, retry_seconds=0.05))
    with monkeypatch.context() as full:
        full.setattr(writers, "MAX_WAITING_BYTES", -1)
        taking = asyncio.create_task(take_from_outbox(writer, asyncio.Event()))
        await until(lambda: "Looking into the outbox failed" in caplog.text, "the refusal")
    await until(lambda: channel in taken, "what waits")
    taking.cancel()
    await writer.stop()

"""The task that takes from the outbox what nobody else writes behind."""

import asyncio
import threading

import pytest
from django.db import connection, transaction

from chat import api
from chat.fanout.announcements import Announcement
from chat.models import Channel
from chat.runtime.recurring import take_from_outbox
from chat.store.writer import Writer
from tests.support.databases import in_thread
from tests.support.waiting import until
from tests.support.written import do, store


@pytest.mark.usefixtures("postgres_default")
async def test_a_channel_that_somebody_has_locked_holds_up_no_other(channel: str) -> None:
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

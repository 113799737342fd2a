"""Recovery beside what the wire shows of it (protocol.md section 19)."""

import asyncio
import json

import pytest

from chat.actions import recovery
from chat.actions.recovery import find_missed, replay, work
from chat.protocol.commands import Subscribe
from chat.protocol.events import Event, encoded
from chat.protocol.session import Session, Subscription
from chat.store.operations.storage import SetStorage
from tests.support.databases import in_thread
from tests.support.live import recording
from tests.support.written import do, react, store
from tokens.claims import parse_claims


def subscription(channel: str) -> Subscription:
    rights = {"subscribe": True, "historyStart": 0, "storage": {"*": {"observe": True}}}
    payload = {"exp": 9e9, "scope": "connect", "uid": "jim", "channels": {channel: rights}}
    session = Session("id", parse_claims(json.dumps(payload).encode(), scope="connect"))
    return session.may_subscribe(Subscribe(channel), None)


async def found(channel: str, since: int, place: tuple[str, int]) -> list[int] | None:
    """The positions of what is found."""
    frames = await find_missed(subscription(channel), since, place)
    if frames is None:
        return None
    return [json.loads(Event(frame).payload)["position"] for frame in frames]


async def test_what_changed_after_the_head_comes_by_its_change(database: str, channel: str) -> None:
    """A reaction or an entry that was changed before, too, and a message that is new."""
    [id] = await in_thread(lambda: do(store(channel)))
    again = SetStorage(channel, "k", b"1", None, "null", None)
    await in_thread(lambda: do(react(channel, id), again))
    head = id, 3
    later = SetStorage(channel, "k", b"2", None, "null", None)
    await in_thread(lambda: do(store(channel), later, react(channel, id, action="remove")))
    assert await found(channel, 0, head) == [1]
    assert await found(channel, 0, ("7" + "Z" * 25, 6)) == [1, 4, 5, 6]


async def test_what_others_are_still_sent_counts(
    database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not read takes the room of those who come, and nobody waits for it."""
    monkeypatch.setattr(recovery, "MAX_ALL_UNSENT_BYTES", 100_000)
    [id] = await in_thread(lambda: do(store(channel, '"x"')))
    send_queue, _ = recording()
    reads = asyncio.Event()
    monkeypatch.setattr(type(send_queue), "room", lambda self: reads.wait())
    slow = asyncio.create_task(replay(send_queue, [encoded(b"1" * 99_990).frame] * 2))
    await asyncio.sleep(0)
    assert await found(channel, 0, (id, 1)) is None
    reads.set()
    await slow
    assert await found(channel, 0, (id, 1)) == [1]


def test_what_is_looked_at_costs_as_if_it_were_sent() -> None:
    assert [work(None, 5), work(9, 5), work(5, 5)] == [0, 0, 0]
    assert work(0, 900) == 900 * 1024
    assert work(0, 10**6) == 1000 * 1024

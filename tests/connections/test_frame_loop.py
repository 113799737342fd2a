"""What one connection may have under way at once (promise P6), and in which order (P4)."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from chat.actions import publishing
from chat.connections.frame_loop import (
    MAX_STORING,
    MAX_WAITING,
    MAX_WAITING_CHARACTERS,
    FrameLoop,
)
from chat.fanout.announcements import Announcement, Ephemeral
from chat.fanout.send_queue import PORTION_BYTES
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime.node import Node
from chat.store.operations.messages import PublishMessage
from chat.store.transaction import Operation
from chat.store.writer import OnDone
from tests.support.client import compact
from tests.support.live import Recorder, live
from tests.support.waiting import until
from tokens.claims import parse_claims

ANYTHING = {"broadcast": True}


def opened(here: Node, channel: str, **events: dict[str, Any]) -> FrameLoop:
    """A connection that may do `events` in a channel; its routes are known already."""
    claims = {"exp": 2e9, "scope": "connect", "channels": {channel: {"messages": events}}}
    session = Session("id", parse_claims(compact(claims).encode(), scope="connect"))
    for event in events:
        publishing.route_to(session, channel, event)
    frame_loop = FrameLoop(here, live(session=session), Recorder())
    frame_loop._handling = False
    return frame_loop


def recorded(here: Node, monkeypatch: pytest.MonkeyPatch) -> list[Announcement]:
    announced: list[Announcement] = []
    monkeypatch.setattr(here.hub, "announce", announced.append)
    return announced


def frames(announced: Iterable[Announcement]) -> list[int]:
    return [len(each.frames) for each in announced if isinstance(each, Ephemeral)]


async def test_what_cannot_be_announced_ends_no_connection(
    here: Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_loop = opened(here, channel, typing=ANYTHING)
    typing = compact({"event": "typing", "channel": channel})
    with monkeypatch.context() as broken:
        broken.setattr(here.hub, "announce", None)
        frame_loop.receive([typing])
    announced = recorded(here, monkeypatch)
    frame_loop.receive([typing, typing])
    assert frames(announced) == [2]
    assert not frame_loop.connection.send_queue.closing


async def test_what_is_announced_at_once_is_no_more_than_a_slow_reader_may_get(
    here: Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = channel.ljust(200, "x")
    frame_loop, announced = opened(here, name, typing=ANYTHING), recorded(here, monkeypatch)
    frame_loop.receive([compact({"event": "typing", "channel": name, "data": "x" * 20})] * 900)
    assert sum(frames(announced)) == 900
    assert len(announced) > 1
    for each in announced:
        assert isinstance(each, Ephemeral)
        assert sum(map(len, each.frames)) < PORTION_BYTES / 2


async def test_ephemeral_messages_leave_before_whatever_comes_behind_them(
    here: Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply, a refusal, a message on another route, the end of the read."""
    frame_loop = opened(here, channel, typing=ANYTHING, waving=ANYTHING)
    happened: list[str] = []
    monkeypatch.setattr(here.hub, "announce", lambda each: happened.append(f"{len(each.frames)}"))
    queue = frame_loop.connection.send_queue
    monkeypatch.setattr(type(queue), "push", lambda self, event: happened.append("reply"))
    typing, waving, ping = (
        compact({"event": event, "channel": channel})
        for event in ("typing", "waving", "hotsock.ping")
    )
    frame_loop.receive([typing, typing, ping, typing, "{", typing, typing, waving, waving, typing])
    assert happened == ["2", "reply", "1", "reply", "2", "2", "1"]


@pytest.mark.parametrize("refused", [False, True])
async def test_so_many_messages_wait_for_the_writer_and_no_more(
    here: Node, channel: str, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    put: list[tuple[Any, OnDone[Any]]] = []
    others = here.writer.put

    def record(operation: Operation[Any], on_done: OnDone[Any]) -> None:
        if isinstance(operation, PublishMessage):
            put.append((operation, on_done))
        else:
            others(operation, on_done)

    monkeypatch.setattr(here.writer, "put", record)
    frame_loop = opened(here, channel, chat={**ANYTHING, "store": 60})
    coming = [compact({"event": "chat", "channel": channel, "data": n}) for n in range(20)]
    frame_loop.receive(coming)
    assert len(put) == MAX_STORING
    outcome = ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.") if refused else "id"
    for _, on_done in put[:]:
        await asyncio.sleep(0)
        assert len(put) == MAX_STORING
        on_done(outcome)
    assert isinstance(frame_loop._handling, asyncio.Task)
    await frame_loop._handling
    assert [operation.data for operation, _ in put] == [b"%d" % number for number in range(20)]


async def test_what_cannot_be_stored_behind_others_is_refused_and_the_rest_is_handled(
    here: Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[OnDone[Any]] = []

    def take(operation: Operation[Any], on_done: OnDone[Any]) -> None:
        if len(put) == MAX_STORING:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")
        put.append(on_done)

    said: list[bytes] = []
    frame_loop = opened(here, channel, chat={**ANYTHING, "store": 60})
    queue = frame_loop.connection.send_queue
    monkeypatch.setattr(here.writer, "put", take)
    monkeypatch.setattr(type(queue), "push", lambda self, event: said.append(event.payload))
    chat = compact({"event": "chat", "channel": channel})
    frame_loop.receive([*[chat] * (MAX_STORING + 1), compact({"event": "hotsock.ping"})])
    for on_done in put:
        on_done("id")
    assert isinstance(frame_loop._handling, asyncio.Task)
    await frame_loop._handling
    assert [b"SERVICE_UNAVAILABLE" in each for each in said] == [True, False]
    assert b"hotsock.pong" in said[1]


@pytest.mark.parametrize(("count", "size"), [(MAX_WAITING, 1), (2, MAX_WAITING_CHARACTERS // 2)])
async def test_so_much_waits_behind_a_frame_and_no_more(
    here: Node, channel: str, monkeypatch: pytest.MonkeyPatch, count: int, size: int
) -> None:
    frame_loop, happened = opened(here, channel), list[str]()
    for what in ("pause_frames", "resume_frames"):
        monkeypatch.setattr(frame_loop._socket, what, partial(happened.append, what))
    before = here.loop.create_future()
    frame_loop._await(before)
    frame_loop.receive(["x" * size] * count)
    assert not happened
    frame_loop.receive(["x"])
    assert happened == ["pause_frames"]
    before.set_result(None)
    await until(lambda: not frame_loop._handling, "all is handled")
    assert happened == ["pause_frames", "resume_frames"]

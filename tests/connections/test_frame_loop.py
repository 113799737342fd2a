"""What one connection may have under way at once (promise P6)."""

import asyncio
from typing import Any

import pytest

from chat.connections.frame_loop import MAX_STORING, Conversation
from chat.fanout.announcements import Burst
from chat.fanout.transport import PORTION_BYTES
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime import node as nodes
from chat.store.operations import Operation, PublishMessage
from chat.store.writer import OnDone
from tests.runtime.test_node import here, live
from tests.support.client import compact
from tokens.claims import parse_claims

__all__ = ["here"]

ANYTHING = {"broadcast": True}


async def test_what_cannot_be_told_ends_no_connection(
    here: nodes.Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = {"exp": 2e9, "scope": "connect", "channels": {channel: {"messages": {"*": ANYTHING}}}}
    connection = live()
    connection.session = Session("id", parse_claims(compact(claims).encode(), scope="connect"))
    connection.session.route(channel, "typing")
    conversation = Conversation(here, connection)
    said = compact({"event": "typing", "channel": channel})
    told: list[Burst] = []

    with monkeypatch.context() as broken:
        broken.setattr(here.hub, "announce_burst", None)
        assert conversation.hear(iter([said])) is None
    monkeypatch.setattr(here.hub, "announce_burst", told.append)
    assert conversation.hear(iter([said, said])) is None
    assert [len(burst.frames) for burst in told] == [2]
    assert not connection.send_queue.closing


async def test_what_is_told_at_once_is_no_more_than_a_slow_reader_may_get(
    here: nodes.Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = channel.ljust(200, "x")
    claims = {"exp": 2e9, "scope": "connect", "channels": {name: {"messages": {"*": ANYTHING}}}}
    connection = live()
    connection.session = Session("id", parse_claims(compact(claims).encode(), scope="connect"))
    connection.session.route(name, "typing")
    told: list[Burst] = []
    monkeypatch.setattr(here.hub, "announce_burst", told.append)
    said = compact({"event": "typing", "channel": name})
    assert Conversation(here, connection).hear(iter([said] * 900)) is None
    assert sum(len(burst.frames) for burst in told) == 900
    assert len(told) > 1
    assert all(sum(map(len, burst.frames)) < PORTION_BYTES / 2 for burst in told)


@pytest.mark.parametrize("refused", [False, True])
async def test_so_many_messages_wait_for_the_writer_and_no_more(
    here: nodes.Node, channel: str, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    put: list[tuple[Any, OnDone[Any]]] = []
    others = here.writer.put

    def record(operation: Operation[Any], on_done: OnDone[Any]) -> None:
        if isinstance(operation, PublishMessage):
            put.append((operation, on_done))
        else:
            others(operation, on_done)

    monkeypatch.setattr(here.writer, "put", record)
    granted = {**ANYTHING, "store": 60}
    claims = {"exp": 2e9, "scope": "connect", "channels": {channel: {"messages": {"*": granted}}}}
    connection = live()
    connection.session = Session("id", parse_claims(compact(claims).encode(), scope="connect"))
    connection.session.route(channel, "chat")
    conversation = Conversation(here, connection)
    coming = iter([compact({"event": "chat", "channel": channel, "data": n}) for n in range(20)])

    rest = conversation.hear(coming)
    assert rest is not None
    assert len(put) == MAX_STORING
    behind = asyncio.ensure_future(rest)
    outcome = ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.") if refused else "id"
    for _, on_done in put[:]:
        await asyncio.sleep(0)
        assert not behind.done()
        on_done(outcome)
    await behind
    assert conversation.hear(coming) is None
    assert [operation.data for operation, _ in put] == [b"%d" % number for number in range(20)]

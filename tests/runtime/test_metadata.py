"""Metadata that another process than the connection's own was asked to change."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chat.models import Connection, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime import metadata
from chat.runtime import node as nodes
from chat.runtime.metadata import Metadata, Update
from tests.support.databases import in_thread
from tests.support.live import live
from tests.support.written import opening, subscribing
from tokens.claims import parse_claims

CLAIMS = parse_claims(
    b'{"exp":4000000000,"scope":"connect","channels":{"*":{"subscribe":true}}}', scope="connect"
)
OLD, NEW, NEWER = '"old"', '"new"', '"newer"'


@dataclass
class Link:
    """What both ends take for their broker."""

    works: bool = True
    opened: bool = True
    ends: dict[str, Metadata] = field(default_factory=dict)
    held: list[Callable[[], None]] = field(default_factory=list)  # what has not arrived

    def tell_all(self, kind: str, asker: str, *what: Any) -> None:
        [other] = (end for name, end in self.ends.items() if name != asker)
        assert kind == "ask umd"
        self._send(lambda: other.asked(asker, *what))

    def tell(self, node_id: str, kind: str, *what: Any) -> None:
        assert kind == "answer umd"
        self._send(lambda: self.ends[node_id].answered(*what))

    def _send(self, arrive: Callable[[], None]) -> None:
        if self.opened:
            arrive()
        else:
            self.held.append(arrive)


class Two:
    """A process that holds a connection in `channel`, and one that is asked to change it."""

    def __init__(self, node: nodes.Node, session: Session, channel: str) -> None:
        self.node = node
        self.link = Link()
        self.session = session
        self.channel = channel
        connection = live(id=session.connection_id)
        connection.session = session
        held = {connection.id: connection}
        hub = SimpleNamespace(broker=self.link)
        own = cast("Any", hub), node.writer, node.member_throttle, node.outlast
        self.holder = self.link.ends["holder"] = Metadata(node.id, held, *own)
        self.asker = self.link.ends["asker"] = Metadata("asker", {}, *own)

    async def change(self, umd: str, channel: str | None = None) -> None:
        """Over the other process, which knows the connection from the database alone."""
        seen = Session(self.session.connection_id, CLAIMS)
        seen.resume(self.channel, None, "", OLD)
        await self.asker.change_elsewhere(seen, Update(umd, channel, propagate=channel is None))

    @property
    def known(self) -> tuple[str, str]:
        """What the connection's own process goes by: its own, its subscription's."""
        return self.session.umd, self.session.subscriptions[self.channel].umd

    async def settle(self) -> None:
        """Returns when what either has begun is done."""
        while self.node._outlasting:
            await asyncio.wait(self.node._outlasting)

    async def stored(self) -> tuple[str, str, bool]:
        """The same in the database, and whether it is to be read again."""

        def read() -> tuple[str, str, bool]:
            row = Connection.objects.get(id=self.session.connection_id)
            return row.umd, Subscription.objects.get(connection=row).umd, row.stale

        return await in_thread(read)


@pytest.fixture
async def two(here: nodes.Node, channel: str) -> Two:
    row = opening(here.id, umd=OLD)
    await here.writer.submit(row)
    await here.writer.submit(subscribing(row.id, channel, umd=OLD))
    session = Session(row.id, CLAIMS)
    session.set_umd(OLD)
    session.resume(channel, None, "", OLD)
    return Two(here, session, channel)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "ANSWER_SECONDS", 0.05)


async def test_its_holder_changes_it_before_the_call_is_answered(two: Two) -> None:
    await two.change(NEW)
    assert two.known == (NEW, NEW)
    assert await two.stored() == (NEW, NEW, False)
    await two.change(NEWER, two.channel)
    assert two.known == (NEW, NEWER)
    assert await two.stored() == (NEW, NEWER, False)


async def test_what_its_holder_refuses_is_refused(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise ProtocolError(ErrorCode.PRESENCE_CHANNEL_CAPACITY_REACHED, "Full.")

    monkeypatch.setattr(two.holder, "change", refuse)
    with pytest.raises(ProtocolError, match=r"Full\.") as refused:
        await two.change(NEW)
    assert refused.value.code is ErrorCode.PRESENCE_CHANNEL_CAPACITY_REACHED
    assert await two.stored() == (OLD, OLD, False)


@pytest.mark.parametrize("what", ["no link", "no answer"])
@pytest.mark.usefixtures("_impatient")
async def test_without_its_holder_s_answer_it_is_found_in_the_database(two: Two, what: str) -> None:
    two.link.works, two.link.opened = what != "no link", False
    await two.change(NEW)
    assert two.known == (OLD, OLD)
    assert await two.stored() == (NEW, NEW, True)
    await two.holder.catch_up()
    await two.settle()
    assert two.known == (NEW, NEW)
    assert await two.stored() == (NEW, NEW, False)


@pytest.mark.usefixtures("_impatient")
async def test_a_question_that_comes_too_late_undoes_nothing(two: Two) -> None:
    two.link.opened = False
    await two.change(NEW)
    await two.holder.change(two.session, Update(NEWER, propagate=True))
    await asyncio.sleep(0.05)
    two.link.opened = True
    for arrive in two.link.held:
        arrive()
    await two.settle()
    assert two.known == (NEWER, NEWER)
    assert (await two.stored())[:2] == (NEWER, NEWER)


async def test_an_answer_that_comes_too_late_is_nobody_s(two: Two) -> None:
    two.asker.answered("unknown")
    two.asker.answered("unknown", "NOT_SUBSCRIBED", "You are not.")
    two.holder.asked("asker", "question", time.time() + 60, "no such connection", NEW, None, True)
    assert two.known == (OLD, OLD)


async def test_what_could_not_be_read_is_read_the_next_time(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.link.works = False
    await two.change(NEW)

    def away(connection_id: str) -> Any:
        raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")

    with monkeypatch.context() as patch:
        patch.setattr(metadata, "metadata_of", away)
        await two.holder.catch_up()
        await two.settle()
    assert two.known == (OLD, OLD)
    assert await two.stored() == (NEW, NEW, False)
    await two.holder.catch_up()
    await two.settle()
    assert two.known == (NEW, NEW)

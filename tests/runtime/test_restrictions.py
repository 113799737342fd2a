"""Nobody slips through between the check and the start (protocol.md section 19)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from chat.actions.connections import Opened
from chat.connections.frame_loop import FrameLoop
from chat.models import Restriction
from chat.protocol import restrictions
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.restrictions import Ban, Banned, Bearer, Revocation, Rule
from chat.protocol.session import Session
from chat.runtime import node as nodes
from chat.store.operations.audit import Actor
from chat.store.operations.connections import OpenConnection
from chat.store.operations.restrictions import AddBan, AddRevocation, Admission, LiftBan
from tests.support.databases import in_thread
from tests.support.live import Recorder, live, recording
from tests.support.written import do, opening, subscribing
from tokens.claims import Claims, parse_claims

BY = Actor("python")


@pytest.fixture(autouse=True)
def _no_others(database: str) -> Iterator[None]:
    Restriction.objects.all().delete()
    yield
    Restriction.objects.all().delete()


@pytest.fixture
def deaf(here: nodes.Node, monkeypatch: pytest.MonkeyPatch) -> nodes.Node:
    """A process that has not read what was restricted after its start."""

    async def follow(number: int) -> None:
        pass

    monkeypatch.setattr(here.restrictions, "follow", follow)
    return here


def claims(**stated: Any) -> Claims:
    said = ",".join(f'"{name}":"{value}"' for name, value in stated.items())
    return parse_claims(f'{{"exp":4000000000,"scope":"connect",{said}}}'.encode(), scope="connect")


def asking(node: nodes.Node, token: Claims, **place: str) -> OpenConnection:
    bearer = Bearer((token,), token.uid, ErrorCode.INVALID_CONNECTION, **place)
    return opening(node.id, admission=Admission(bearer, node.restrictions.rules))


async def test_the_commit_asks_again(deaf: nodes.Node, channel: str) -> None:
    jim, pam = claims(uid="jim", jti=channel), claims(uid="pam")
    await deaf.writer.submit(asking(deaf, jim))
    await in_thread(lambda: do(AddRevocation(BY, Revocation(jti=channel))))
    with pytest.raises(ProtocolError) as revoked:
        await deaf.writer.submit(asking(deaf, jim))
    assert revoked.value.code is ErrorCode.INVALID_CONNECTION
    await deaf.writer.submit(asking(deaf, pam, address="192.0.2.1"))
    [ban, other] = await in_thread(
        lambda: do(AddBan(BY, Ban(uid="pam")), AddBan(BY, Ban(address="192.0.2.0/24")))
    )
    for place in ({}, {"address": "192.0.2.1"}):
        with pytest.raises(Banned):
            await deaf.writer.submit(asking(deaf, claims(uid="kim") if place else pam, **place))
    await in_thread(lambda: do(LiftBan(BY, ban), LiftBan(BY, other)))
    await deaf.writer.submit(asking(deaf, pam, address="192.0.2.1"))


async def test_the_commit_of_a_subscription_asks_again(deaf: nodes.Node, channel: str) -> None:
    jim = opening(deaf.id)
    await deaf.writer.submit(jim)
    await in_thread(lambda: do(AddBan(BY, Ban(uid="jim", channel=channel))))
    bearer = Bearer((), "jim", ErrorCode.INVALID_SUBSCRIBE_TOKEN, channel=channel)
    admission = Admission(bearer, deaf.restrictions.rules)
    with pytest.raises(ProtocolError) as refused:
        await deaf.writer.submit(subscribing(jim.id, channel, admission=admission))
    assert refused.value.code is ErrorCode.SUBSCRIBE_PERMISSION_DENIED


async def test_who_was_committed_before_is_closed_when_it_starts(here: nodes.Node) -> None:
    """The ban has been read, and all connections were looked at, between its commit and this."""
    send_queue, sent = recording()
    session = Session("id", claims(uid="jim"))
    frame_loop = FrameLoop(here, live(send_queue, session=session), Recorder())
    here.restrictions.rules.put(Rule(1, 1, "", "jim", None, "", ""), 0)
    frame_loop.open(Opened(session, "secret", datetime.now(UTC)))
    assert [message["code"] for message in sent] == [4403]
    await frame_loop.close()


async def test_what_is_not_held_is_looked_up(
    here: nodes.Node, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    monkeypatch.setattr(restrictions, "MAX_REVOCATIONS", 1)
    older = AddRevocation(BY, Revocation(jti=channel)), AddRevocation(BY, Revocation(uid=channel))
    await in_thread(lambda: do(*older, AddRevocation(BY, Revocation(jti="newest"))))
    await here.restrictions.load()
    assert here.restrictions.rules.overflow
    for token in (claims(jti=channel), claims(uid=channel)):
        assert not here.restrictions.rules.revoke(token, 0)
        with pytest.raises(ProtocolError):
            await here.writer.submit(asking(here, token))
    await here.writer.submit(asking(here, claims(uid="jim", jti="another")))

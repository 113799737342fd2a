"""Nobody slips through between the check and the start (protocol.md section 19)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from chat import api
from chat.actions.connections import Opened, secret_hash
from chat.connections.frame_loop import FrameLoop
from chat.http.credentials import session_of
from chat.models import Message, Restriction, Schedule
from chat.protocol import restrictions
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.restrictions import LAST_SECOND, Ban, Banned, Bearer, Revocation, Rule
from chat.protocol.session import Session
from chat.runtime import node as nodes
from chat.runtime.recurring import BANNED
from chat.store.operations.audit import Actor, erased_name
from chat.store.operations.connections import OpenConnection
from chat.store.operations.messages import PublishMessage
from chat.store.operations.restrictions import AddBan, AddRevocation, Admission, LiftBan
from chat.store.operations.work import AddSchedule
from tests.support.client import eventually
from tests.support.configuring import Setter
from tests.support.databases import in_thread
from tests.support.live import Recorder, live, recording
from tests.support.waiting import until
from tests.support.written import META, do, node, opening, subscribing
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
    said = {"exp": 2**32, "scope": "connect", **stated}
    return parse_claims(json.dumps(said).encode(), scope="connect")


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
    frame_loop.open(Opened(session, "secret", 60, datetime.now(UTC)))
    assert [message["code"] for message in sent] == [4403]
    await frame_loop.close()


async def test_a_subscription_that_was_committed_before_ends_when_it_begins(
    deaf: nodes.Node, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_queue, sent = recording()
    token = claims(uid="jim", channels={channel: {"subscribe": True}})
    session = Session("id", token, deaf.restrictions.is_banned)
    await deaf.writer.submit(opening(deaf.id, id=session.connection_id))
    frame_loop = FrameLoop(deaf, live(send_queue, session=session), Recorder())
    frame_loop.open(Opened(session, "secret", 60, datetime.now(UTC)))
    place = deaf.hub.place

    def committed(*about: Any) -> None:
        deaf.restrictions.rules.put(Rule(1, 1, "", "jim", None, "", channel), 0)
        place(*about)

    monkeypatch.setattr(deaf.hub, "place", committed)
    frame_loop.receive([f'{{"event":"hotsock.subscribe","channel":"{channel}"}}'])
    await until(lambda: len(sent) == 3, "the subscription ends")
    told = [json.loads(message["text"])["event"] for message in sent]
    assert told == ["hotsock.connected", "hotsock.subscribed", "hotsock.unsubscribed"]
    assert not session.subscriptions
    await frame_loop.close()


async def test_calls_of_who_is_kept_out_are_refused_before_the_holder_closes(
    deaf: nodes.Node, channel: str
) -> None:
    """Another process holds the connection, and has not heard of it yet."""
    other = node()
    await in_thread(lambda: do(other))
    token = claims(uid="jim", jti=channel, channels={channel: {"subscribe": True}})
    held = opening(other.id, claims=token.payload, secret_hash=secret_hash("secret"))
    await in_thread(lambda: do(held))
    await in_thread(lambda: do(subscribing(held.id, channel)))
    assert await session_of(deaf, held.id, "secret", None)
    deaf.restrictions.rules.put(Rule(1, 1, "", "jim", None, "", channel), 0)
    assert (await session_of(deaf, held.id, "secret", None)).subscriptions == {}
    deaf.restrictions.rules.put(Rule(2, 2, channel, None, None, "", ""), 0)
    with pytest.raises(ProtocolError) as refused:
        await session_of(deaf, held.id, "secret", None)
    assert refused.value.code is ErrorCode.INVALID_CONNECTION


async def test_what_is_not_held_is_looked_up(
    here: nodes.Node, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    monkeypatch.setattr(restrictions, "MAX_REVOCATIONS", 1)
    gone = f"{channel}-gone"  # somebody who was erased
    older = (Revocation(jti=channel), Revocation(uid=channel), Revocation(uid=erased_name(gone)))
    newest = Revocation(jti="newest")
    await in_thread(lambda: do(*(AddRevocation(BY, each) for each in (*older, newest))))
    await here.restrictions.load()
    assert here.restrictions.rules.overflow
    for token in (claims(jti=channel), claims(uid=channel), claims(uid=gone)):
        assert not here.restrictions.rules.revoke(token, 0)
        with pytest.raises(ProtocolError):
            await here.writer.submit(asking(here, token))
    await here.writer.submit(asking(here, claims(uid="jim", jti="another")))


async def test_what_somebody_banned_has_scheduled_is_parked(here: nodes.Node, channel: str) -> None:
    message = PublishMessage(channel, "chat", b"1", "jim", "null", META, -1)
    await here.writer.submit(AddBan(BY, Ban(uid="jim", channel=channel)))
    await here.marked()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    id = await here.writer.submit(AddSchedule(soon, message))

    async def parked() -> bool:
        found = Schedule.objects.filter(id=id, problem=BANNED, parked_at__isnull=False)
        return await in_thread(found.exists)

    assert await eventually(parked)
    assert not await in_thread(Message.objects.filter(channel__name=channel).exists)


def test_a_revocation_is_remembered_as_long_as_tokens_may_live(
    database: str, set_tokens: Setter
) -> None:
    do(AddRevocation(BY, Revocation(jti="for ever")))
    set_tokens(TOKEN_MAX_SECONDS=3600)
    do(AddRevocation(BY, Revocation(jti="an hour")))
    do(AddRevocation(BY, Revocation(jti="as said", expires_at=LAST_SECOND)))
    set_tokens(TOKEN_MAX_SECONDS=10**12)
    do(AddRevocation(BY, Revocation(jti="to the end of time")))
    lasts = dict(Restriction.objects.values_list("jti", F("expires_at") - F("created_at")))
    assert lasts["for ever"] is None
    assert lasts["an hour"] == timedelta(hours=1)
    assert lasts["as said"] > timedelta(days=365)
    assert lasts["to the end of time"] > timedelta(days=365)


# --- from Python (docs/python.md) ---------------------------------------------------------------


async def test_python_in_the_server_s_own_process(
    here: nodes.Node, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    """In effect here when the call returns."""
    monkeypatch.setattr(nodes, "_nodes", {here.loop: here})
    jim, (send_queue, sent) = (
        opening(here.id, uid=channel, claims=f'{{"uid":"{channel}"}}'),
        recording(),
    )
    await here.writer.submit(jim)
    here.connections.add(live(send_queue, id=jim.id))
    ban = await api.aban(uid="pam", channel=channel, until=datetime(2100, 1, 1), reason="spam")
    assert ban is not None
    assert here.restrictions.is_banned("pam", channel)
    assert await api.aunban(ban) is True
    assert not here.restrictions.is_banned("pam", channel)
    assert await api.aunban(ban) is False
    assert await api.arevoke_tokens(uid=channel, issued_before=datetime.now(UTC)) == 1
    assert here.restrictions.rules.revoke(claims(uid=channel), 0)
    assert await api.adisconnect(uid=channel) == 1
    assert [message["code"] for message in sent] == [4403]
    with pytest.raises(api.ProtocolError, match="uid"):
        await api.aban(uid="")


async def test_python_in_a_transaction_waits_for_its_commit(here: nodes.Node, channel: str) -> None:
    def within() -> tuple[int | None, bool]:
        with transaction.atomic():
            given = api.ban(uid=channel)
            there = Restriction.objects.filter(uid=channel).exists()
        return given, there

    assert await in_thread(within) == (None, False)
    assert await in_thread(Restriction.objects.filter(uid=channel).exists)

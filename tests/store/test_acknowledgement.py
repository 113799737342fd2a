"""What has an ack is done once: in one batch, in several, in several processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from chat.models import Acknowledgement, Message
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Acknowledged
from chat.store.operations.acknowledgement import DoOnce, sender_of
from chat.store.transaction import Operation, Transaction
from chat.store.writer import commit, write
from tests.support.written import do, react, store

ACK = "a" * 16


def once(
    what: Operation[str] | Operation[None], digest: str = "d", uid: str = "jim", ack: str = ACK
) -> DoOnce:
    [channel] = what.locks()
    receipt = Acknowledged(channel, "chat", ack=ack)
    return DoOnce(what, receipt, digest, sender_of(uid, "connection"), "connection")


def published(channel: str) -> list[str]:
    return list(Message.objects.of(channel).order_by("id").values_list("data", flat=True))


def test_within_one_batch(database: str, channel: str) -> None:
    operations = [
        once(store(channel, "1")),
        once(store(channel, "2")),
        once(store(channel, "3"), uid="pam"),
        once(store(channel, "4"), uid=""),
        once(store(channel, "5"), ack="b" * 16),
        once(store(f"{channel}-2", "6")),
    ]
    first, repeat, *others = do(*operations)
    assert repeat == Acknowledged(
        *(channel, "chat", first.id), ack=ACK, position=first.position, repeated=True
    )
    assert not any(each.repeated for each in (first, *others))
    assert published(channel) == ["1", "3", "4", "5"]
    assert [len(each.announced) for each in operations] == [1, 0, 1, 1, 1, 1]


def test_another_digest_is_refused_in_the_batch_and_later(database: str, channel: str) -> None:
    first, other = once(store(channel, "1")), once(store(channel, "2"), "other")
    for outcome in (*commit([first, other])[1:], *commit([other])):
        assert isinstance(outcome, ProtocolError)
        assert outcome.code is ErrorCode.INVALID_MESSAGE
    assert published(channel) == ["1"]


def test_beside_what_reads_the_same_rows(database: str, channel: str) -> None:
    [message] = do(store(channel))
    reacting = once(react(channel, message))
    done, _, _ = do(reacting, react(channel, message, "👎"), once(store(channel), ack="b" * 16))
    assert (done.id, done.position) == (None, 2)
    assert len(reacting.announced) == 1
    [repeat] = do(once(react(channel, message)))
    assert (repeat.position, repeat.repeated) == (2, True)


def test_what_is_refused_is_not_remembered(database: str, channel: str) -> None:
    [outcome] = commit([once(react(channel, "0" * 26))])
    assert isinstance(outcome, ProtocolError)
    assert not Acknowledgement.objects.filter(channel__name=channel).exists()


def test_a_batch_asks_once_for_all_acks_and_without_any_not_at_all(
    sqlite: None, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    execute = Transaction.execute

    def noted(transaction: Transaction, sql: str, parameters: tuple[object, ...] = ()) -> object:
        asked.extend([sql] if "FROM chat_acknowledgement" in sql else [])
        return execute(transaction, sql, parameters)

    monkeypatch.setattr(Transaction, "execute", noted)
    do(*(once(store(channel), ack=f"{number:016}") for number in range(20)), store(channel))
    assert len(asked) == 1
    do(store(channel))
    assert len(asked) == 1


def test_in_several_processes_at_once(database: str, channel: str) -> None:
    """As threads with connections of their own: each is a process to the database."""
    ready = threading.Barrier(6)

    def publish(number: int) -> Acknowledged:
        ready.wait(10)
        try:
            return write(once(store(channel, str(number))), lambda _: None)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        told = list(threads.map(publish, range(6)))
    assert len({each.id for each in told}) == 1
    assert [each.repeated for each in told].count(False) == 1
    assert len(published(channel)) == 1

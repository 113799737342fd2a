"""One publishes, all are answered the same: in one batch, in several, in several processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from chat.fanout.announcements import Announcement
from chat.models import Deduplication, Message
from chat.protocol.errors import ProtocolError
from chat.protocol.publication import Receipt
from chat.store.operations.deduplication import PublishOnce
from chat.store.writer import commit, write
from tests.support.written import do, ephemeral, react, store


def once(channel: str, data: str = "1", key: str = "x") -> PublishOnce:
    return PublishOnce(store(channel, data), Receipt(channel, "chat"), "id", key)


def published(channel: str) -> list[str]:
    return list(Message.objects.of(channel).order_by("id").values_list("data", flat=True))


def test_within_one_batch(database: str, channel: str) -> None:
    operations = [
        once(channel, "1"),
        once(channel, "2"),
        once(channel, "3", "y"),
        once(channel, "4", ""),
        once(channel, "5", ""),
    ]
    receipts = do(*operations)
    assert receipts[0] == receipts[1]
    assert len({receipt.id for receipt in receipts}) == 4
    assert published(channel) == ["1", "3", "4", "5"]
    assert [len(operation.announced) for operation in operations] == [1, 0, 1, 1, 1]


def test_beside_operations_of_every_other_kind(database: str, channel: str) -> None:
    """What `what` reads before it is applied is read, whatever else is in the batch."""
    [message] = do(store(channel))
    reaction = PublishOnce(react(channel, message), Receipt(channel, "r"), None, "r")
    unstored = PublishOnce(ephemeral(channel, "1"), Receipt(channel, "chat"), "id", "p")
    outcomes = do(reaction, react(channel, message, "👎"), unstored, once(channel))
    assert outcomes[0] == Receipt(channel, "r")
    assert [len(each.announced) for each in (reaction, unstored)] == [1, 1]
    assert do(reaction, unstored) == [outcomes[0], outcomes[2]]
    assert [len(each.announced) for each in (reaction, unstored)] == [0, 0]


def test_reactions_that_one_batch_loads_twice_are_counted_once(database: str, channel: str) -> None:
    [message] = do(store(channel))
    do(*(react(channel, message, f"r{number}") for number in range(60)))
    once = PublishOnce(react(channel, message, "a"), Receipt(channel, "r"))
    do(once, react(channel, message, "b"))
    assert [len(each.announced) for each in (once, once.what)] == [1, 1]


def test_one_that_is_tried_again_and_was_done_elsewhere_meanwhile_announces_nothing(
    database: str, channel: str
) -> None:
    operation = once(channel, "ours")
    failed = once(channel, "ours", key="")
    do(failed)
    operation.what = failed.what  # as a try whose batch then failed leaves it
    do(once(channel, "theirs"))
    do(operation)
    assert list(operation.announced) == []
    assert published(channel) == ["ours", "theirs"]


def test_what_is_refused_is_not_remembered(database: str, channel: str) -> None:
    refused = PublishOnce(react(channel, "0" * 26), Receipt(channel, "r"), None, "x")
    [outcome] = commit([refused])
    assert isinstance(outcome, ProtocolError)
    assert not Deduplication.objects.filter(channel__name=channel).exists()


def test_in_several_processes_at_once(database: str, channel: str) -> None:
    """As threads with connections of their own: each is a process to the database."""
    ready = threading.Barrier(6)

    def publish(number: int) -> tuple[Receipt, int]:
        ready.wait(10)
        announced: list[Announcement] = []
        try:
            receipt = write(once(channel, str(number)), announced.extend)
        finally:
            connection.close()
        return receipt, len(announced)

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(publish, range(6)))
    assert len({receipt.id for receipt, _ in outcomes}) == 1
    assert sum(count for _, count in outcomes) == 1
    assert len(published(channel)) == 1

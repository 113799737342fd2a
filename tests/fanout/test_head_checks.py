"""What no announcement told, such as what other processes commit, is found by its number (P3)."""

from tests.fanout.test_feed import Channel, _repair_at_once, all_repaired, change

__all__ = ["_repair_at_once"]  # a fixture of these tests, too


async def test_what_others_committed_is_read_and_delivered_in_order() -> None:
    channel = Channel()
    channel.subscribe("a")
    channel.release("a", 0)
    channel.committed = [change(number) for number in (1, 2, 3)]
    channel.hub.check([("c", 3), ("nobody listens here", 5)])
    channel.hub.announce(channel.committed[2])
    channel.hub.announce(change(4))
    await all_repaired()
    assert channel.numbers("a") == [1, 2, 3, 4]


async def test_who_is_not_behind_reads_nothing() -> None:
    channel = Channel()
    channel.subscribe("a")
    channel.release("a", 7)
    for head in (7, 6, 0):
        channel.hub.check([("c", head)])
    await all_repaired()
    assert channel.reads == 0


async def test_what_was_announced_meanwhile_is_not_delivered_twice() -> None:
    channel = Channel()
    channel.subscribe("a")
    channel.release("a", 0)
    channel.committed = [change(1), change(2)]
    channel.hub.check([("c", 2)])
    for item in channel.committed:
        channel.hub.announce(item)
    await all_repaired()
    assert channel.numbers("a") == [1, 2]
    assert channel.reads == 0


async def test_a_channel_that_has_gone_is_asked_for_once() -> None:
    channel = Channel()
    channel.subscribe("a")
    channel.release("a", 0)
    channel.hub.check([("c", 9)])
    await all_repaired()
    assert channel.reads == 1


async def test_before_the_first_subscriber_knows_its_head_nothing_is_read() -> None:
    channel = Channel()
    channel.subscribe("a")
    channel.hub.check([("c", 2)])
    await all_repaired()
    assert channel.reads == 0

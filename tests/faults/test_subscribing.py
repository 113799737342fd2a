"""Subscribing while another process publishes, with a Redis link that is slower (P3)."""

import asyncio
import contextlib
import secrets
from itertools import pairwise

from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, until

SUBSCRIPTIONS = 200
AT_ONCE = 10
DELAYS_SECONDS = (0.005, 0.03)  # the second for machines whose commits take longer than the first
AFTER = 3  # messages of each kind after `hotsock.subscribed`
PAUSE_SECONDS = 0.003
MISSING_SECONDS = 10
KINDS = {"quiet": "stored", "typing": "passing"}


async def test_subscribing(site: Site, fault: Fault) -> None:
    times = fault.times(SUBSCRIPTIONS) // (AT_ONCE * len(DELAYS_SECONDS)) or 1
    try:
        for site.link.delay in DELAYS_SECONDS:
            await asyncio.gather(*(subscribe_often(site, fault, n, times) for n in range(AT_ONCE)))
    finally:
        site.link.delay = 0.0


async def subscribe_often(site: Site, fault: Fault, number: int, times: int) -> None:
    subscriber = await Connection.open(site.other, f"subscriber{number}")
    publisher = await Connection.open(site.one, f"publisher{number}")
    for _ in range(times):
        await subscribe_once(fault, subscriber, publisher)
        subscriber.frames[1:] = publisher.frames[1:] = []  # their credentials stay
    subscriber.close()
    publisher.close()


async def subscribe_once(fault: Fault, subscriber: Connection, publisher: Connection) -> None:
    """The other one publishes all the while; what it sends from `hotsock.subscribed` on must
    come, stored or not, and of what was stored nothing between the first and the last."""
    channel, sent = f"subscribing-{secrets.token_hex(8)}", 0

    async def publish(times: int) -> None:
        nonlocal sent
        for _ in range(times):
            publisher.publish(channel, sent, "quiet")
            publisher.publish(channel, sent, "typing")
            sent += 1
            await asyncio.sleep(PAUSE_SECONDS * fault.random.random())

    publishing = asyncio.create_task(publish(1000))
    try:
        await subscriber.subscribe(channel)
        due = sent
    finally:
        publishing.cancel()
    await publish(AFTER)
    expected = set(range(due, sent))
    with contextlib.suppress(AssertionError):  # what is missing is counted
        await until(
            lambda: all(expected <= numbers(subscriber, channel, kind) for kind in KINDS),
            "what was published after subscribing",
            MISSING_SECONDS,
        )
    for kind, name in KINDS.items():
        heard = [frame.value for frame in subscriber.heard(channel, kind)]
        fault.none(f"{name} messages missing", sorted(expected - set(heard)))
        fault.none(f"{name} messages out of order", disordered(heard))
    stored = [frame.value for frame in subscriber.heard(channel, "quiet")]
    fault.none("gaps", sorted(set(range(stored[0], sent)) - set(stored)))
    fault.count("subscriptions")
    fault.count("messages after it", 2 * len(expected))
    subscriber.send(event="hotsock.unsubscribe", channel=channel)


def numbers(subscriber: Connection, channel: str, kind: str) -> set[int]:
    return {frame.value for frame in subscriber.heard(channel, kind)}


def disordered(heard: list[int]) -> list[int]:
    return [one for one, other in pairwise(heard) if one >= other]

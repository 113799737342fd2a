"""Sends a subscriber what it has missed (protocol.md section 19)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chat.fanout.send_queue import PORTION_BYTES, SendQueue
from chat.protocol import frames
from chat.protocol.session import Subscription
from chat.store.reads import read
from chat.store.recovery import MAX_CHANGES, changes_missed

MAX_ALL_UNSENT_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class Unsent:
    """How much all replays of a process that are under way still hold (P6)."""

    bytes: int = 0


_unsent = Unsent()


async def find_missed(
    subscription: Subscription, since: int, place: tuple[str, int]
) -> Sequence[bytes] | None:
    """The frames of what changed after `since` until it subscribed, in order; `place` is where the
    channel stood then. None where it is not known that they are all, or they are too many: for one,
    or beside those that others are still being sent. Raises SERVICE_UNAVAILABLE."""
    last_id, number = place
    if since > number or not subscription.reaches_back:
        return None
    if since == number and not subscription.grants.may_observe(subscription.channel):
        return ()
    shown = subscription.window_start(), subscription.observes
    found = await read(changes_missed, subscription.channel, since, last_id, number, *shown)
    fits = found is not None and _unsent.bytes + _size(found) <= MAX_ALL_UNSENT_BYTES
    return found if fits else None


async def replay(send_queue: SendQueue, missed: Sequence[bytes]) -> int:
    """Sends them as fast as the client reads; returns their bytes."""
    size = _size(missed)
    _unsent.bytes += size
    try:
        await _send(send_queue, missed)
    finally:
        _unsent.bytes -= size
    return size


async def _send(send_queue: SendQueue, missed: Sequence[bytes]) -> None:
    pushed = 0
    for frame in missed:
        if pushed > PORTION_BYTES:
            await send_queue.room()
            pushed = 0
        send_queue.push_frame(frame)
        pushed += len(frame)


def _size(missed: Sequence[bytes]) -> int:
    return sum(map(len, missed))


def work(since: int | None, number: int) -> int:
    """What it takes to look for them, as bytes sent."""
    if since is None:
        return 0
    return frames.CHANGE_BYTES * min(max(number - since, 0), MAX_CHANGES)

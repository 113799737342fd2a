"""When a followed channel is counted, and who is told (protocol.md section 19)."""

from typing import Any, cast

from chat.fanout.occupancy import LARGE, LARGE_SECONDS, Follower, Followers
from chat.fanout.send_queue import SendQueue


class Queue:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def push(self, event: Any) -> None:
        self.told.append(event.payload)


def followers(**told: int) -> tuple[Followers, dict[str, Queue]]:
    """Of channel c, by name, with what each was told."""
    queues = {name: Queue() for name in told}
    found = Followers()
    for name, count in told.items():
        found.add("c", name, Follower(cast("SendQueue", queues[name]), count))
    return found, queues


def test_those_are_told_who_know_another_count() -> None:
    found, queues = followers(jim=1, pam=2)
    found.tell("c", 2, 0.0)
    assert [len(each.told) for each in queues.values()] == [1, 0]
    found.tell("c", 2, 1.0)
    found.tell("c", 3, 2.0)
    assert [len(each.told) for each in queues.values()] == [2, 1]


def test_a_large_channel_is_counted_once_in_ten_seconds() -> None:
    found, _ = followers(jim=1)
    assert found.due(0.0) == ["c"]
    found.tell("c", LARGE, 0.0)
    assert found.due(0.0) == ["c"]
    found.tell("c", LARGE + 1, 0.0)
    assert found.due(LARGE_SECONDS - 0.1) == []
    assert found.due(LARGE_SECONDS) == ["c"]


def test_what_nobody_follows_any_more_is_not_counted() -> None:
    found, _ = followers(jim=1, pam=1)
    found.remove("c", "jim")
    assert found
    found.remove("c", "pam")
    found.remove("c", "pam")
    found.tell("c", 5, 0.0)
    assert not found
    assert found.due(0.0) == []

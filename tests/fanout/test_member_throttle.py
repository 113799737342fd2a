"""Member changes go a few at a time, in order, and nobody holds them up for long (P6)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from chat.fanout import member_throttle
from chat.fanout.announcements import Announcement, Change
from chat.fanout.broker import MemoryBroker
from chat.fanout.hub import Hub, Subscriber
from chat.fanout.member_throttle import CHANGES_AT_ONCE, IN_FLIGHT, MemberThrottle
from chat.fanout.send_queue import BEHIND_BYTES, MAX_UNSENT_BYTES, Flusher
from chat.protocol.events import encoded
from chat.protocol.presence import MAX_MEMBERS_BYTES
from tests.fanout.test_send_queue import Socket


class Crowd:
    """Who wants to pass one channel's gate, and the subscribers behind it."""

    def __init__(self) -> None:
        self.behind = False
        self.asked = 0
        self.member_throttle = MemberThrottle(self._is_behind)
        self.entered: list[int] = []
        self.leave = asyncio.Event()

    def _is_behind(self, channel: str) -> bool:
        self.asked += 1
        return self.behind

    async def _pass(self, number: int, channels: list[str]) -> None:
        async with self.member_throttle.passing(channels):
            self.entered.append(number)
            await self.leave.wait()

    def come(self, count: int, channels: list[str] | None = None) -> list[asyncio.Task[None]]:
        passing = (self._pass(number, channels or ["c"]) for number in range(count))
        return [asyncio.create_task(each) for each in passing]


async def turns(count: int = 50) -> None:
    """Lets everything run that need not wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_few_are_in_flight_and_the_others_follow_in_order() -> None:
    crowd = Crowd()
    tasks = crowd.come(30)
    await turns()
    assert crowd.entered == list(range(IN_FLIGHT))
    crowd.leave.set()
    await asyncio.gather(*tasks)
    assert crowd.entered == list(range(30))
    assert crowd.member_throttle._throttles == {}


async def test_the_next_waits_for_those_who_are_behind() -> None:
    crowd = Crowd()
    crowd.behind = True
    tasks = crowd.come(3)
    await turns()
    assert crowd.entered == []
    crowd.behind = False
    crowd.leave.set()
    await asyncio.gather(*tasks)
    assert crowd.entered == [0, 1, 2]


async def test_each_waits_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_throttle, "WAIT_SECONDS", 0.02)
    crowd = Crowd()
    crowd.behind = True
    crowd.leave.set()
    await asyncio.wait_for(asyncio.gather(*crowd.come(3)), 5)
    assert crowd.entered == [0, 1, 2]


async def test_those_who_stay_behind_hold_up_nobody_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(member_throttle, "WAIT_SECONDS", 0.02)
    monkeypatch.setattr(member_throttle, "MAX_STALL_SECONDS", 0.05)
    crowd = Crowd()
    crowd.behind = True
    crowd.leave.set()
    await asyncio.wait_for(asyncio.gather(*crowd.come(400)), 5)  # 8 s, did each wait
    assert crowd.entered == list(range(400))


async def test_who_gives_up_holds_no_place() -> None:
    crowd = Crowd()
    tasks = crowd.come(30)
    await turns()
    while len(tasks) > 10:
        tasks.pop(0).cancel()
    await turns()
    assert crowd.entered == [*range(IN_FLIGHT), *range(20, 20 + IN_FLIGHT)]
    crowd.leave.set()
    await asyncio.gather(*tasks)
    assert crowd.member_throttle._throttles == {}


async def test_channels_do_not_wait_for_one_another() -> None:
    crowd = Crowd()
    tasks = [*crowd.come(20, ["a"]), *crowd.come(IN_FLIGHT, ["b"])]
    await turns()
    assert len(crowd.entered) == 2 * IN_FLIGHT
    crowd.leave.set()
    await asyncio.gather(*tasks)


async def test_who_passes_several_at_once_meets_others_without_a_deadlock() -> None:
    crowd = Crowd()
    crowd.leave.set()
    tasks = [*crowd.come(40, ["a", "b"]), *crowd.come(40, ["b", "a"]), *crowd.come(5, ["a", "a"])]
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert len(crowd.entered) == 85


async def test_none_is_asked_where_there_is_no_channel() -> None:
    crowd = Crowd()
    async with crowd.member_throttle.passing([]):
        assert crowd.asked == 0


async def test_a_channel_is_behind_when_more_than_half_of_its_subscribers_are() -> None:
    async def nothing(channel: str, after: int) -> tuple[list[Change], int]:
        return [], after

    flusher = Flusher(asyncio.get_running_loop())
    hub, sockets = Hub(nothing, MemoryBroker()), [Socket(flusher) for _ in range(4)]
    for number, socket in enumerate(sockets):
        socket.made.blocked = True
        hub.subscribe("c", Subscriber(str(number), socket.send_queue))
    said = [hub.is_behind("unknown"), hub.is_behind("c")]
    for socket in sockets[:3]:
        socket.put(b"x" * (BEHIND_BYTES + 1))
        await turns()
        said.append(hub.is_behind("c"))
    sockets[0].made.unblock()
    said.append(hub.is_behind("c"))
    assert said == [False] * 4 + [True, False]


@dataclass
class Operation:
    quiet: bool = False
    announced: Sequence[Announcement] = ()


async def changed(throttle: MemberThrottle, uid: str, *channels: str, **rest: bool) -> bool:
    """Whether it was allowed to change this member of these channels."""
    operation = Operation()
    async with throttle.changing(operation, dict.fromkeys(channels, uid), **rest):
        if not operation.quiet:
            operation.announced = [Change(name, 0, 1, encoded(b"{}")) for name in channels]
    return not operation.quiet


async def test_a_member_changes_some_times_at_once_and_leaves_while_it_may_come_back() -> None:
    throttle = Crowd().member_throttle
    for at in range(CHANGES_AT_ONCE - 1):
        assert await changed(throttle, "jim", "c", leaving=bool(at % 2))
    assert not await changed(throttle, "jim", "c", leaving=True)
    assert await changed(throttle, "jim", "c")
    assert not await changed(throttle, "jim", "c")
    assert not await changed(throttle, "jim", "c", "d")
    assert await changed(throttle, "jim", "d")
    assert await changed(throttle, "pam", "c")


async def test_what_changes_nobody_does_not_count() -> None:
    throttle = Crowd().member_throttle
    for _ in range(3 * CHANGES_AT_ONCE):
        async with throttle.changing(Operation(), {"c": "jim"}):
            pass
    for _ in range(CHANGES_AT_ONCE):
        assert await changed(throttle, "jim", "c")
    for _ in range(CHANGES_AT_ONCE):
        assert not await changed(throttle, "jim", "c")


def test_those_in_flight_fill_no_send_queue() -> None:
    assert BEHIND_BYTES + IN_FLIGHT * (MAX_MEMBERS_BYTES + 2048) < MAX_UNSENT_BYTES

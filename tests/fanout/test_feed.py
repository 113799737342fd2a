"""One order for all, no gap, nothing twice: whatever arrives, in whatever order (P2, P3, P4)."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from chat.fanout import hub
from chat.fanout.announcements import BYTES_OF_ANNOUNCEMENT, Change, Ephemeral
from chat.fanout.broker import BrokerStatus, MemoryBroker
from chat.fanout.hub import Hub, Subscriber
from chat.fanout.send_queue import Flusher, Receiver, SendQueue
from chat.protocol.errors import CloseCode, ErrorCode, ProtocolError
from chat.protocol.events import encoded, payloads


@pytest.fixture(autouse=True)
def _repair_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "OWN_REPAIR_AFTER_SECONDS", 0)
        patch.setattr(hub, "REPAIR_AFTER_SECONDS", 0)
        patch.setattr(hub, "RETRY_AFTER_SECONDS", 0)
        yield


def change(number: int, previous: int | None = None, **rest: Any) -> Change:
    before = number - 1 if previous is None else previous
    return Change("c", before, number, encoded(b"%d" % number), **rest)


def ephemeral(previous: int, *names: str, **rest: Any) -> Ephemeral:
    return Ephemeral("c", previous, [encoded(name.encode()).frame for name in names], **rest)


class Reader:
    """The socket of a subscriber that reads all, as its server holds it."""

    def __init__(self, got: list[str]) -> None:
        self._got = got

    @property
    def transport(self) -> "Reader":
        return self

    def write(self, data: bytes) -> None:
        while data:  # frames of less than 126 bytes
            end = 2 + data[1]
            self._got.append(data[2:end].decode())
            data = data[end:]

    def get_write_buffer_size(self) -> int:
        return 0

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None: ...
    def send_close(self, code: int, reason: str) -> None: ...
    def abort(self) -> None: ...
    def ping(self) -> bool:
        return True

    def pause_frames(self) -> None: ...
    def resume_frames(self) -> None: ...


class Beside:
    """How many silent ones subscribe beside: more than MAX_UNBATCHED share a batch."""

    count = 0


@pytest.fixture(
    params=[0, hub.MAX_UNBATCHED + 2], ids=["alone", "in batches"], autouse=True, scope="module"
)
def _beside(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Beside, "count", request.param)
        yield


@dataclass
class Channel:
    """The channel as its database and its other processes hold it, and who listens here."""

    committed: list[Change] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)  # purged, or reactions that changed again since
    failures: int = 0  # reads that the database will not answer
    error: Exception = field(
        default_factory=lambda: ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")
    )
    page: int = 1000  # changes that one read brings
    reads: int = 0
    received: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hub = Hub(self.read_changes, MemoryBroker())
        self.subscribers: dict[str, Subscriber] = {}
        self._flusher: Flusher | None = None

    async def read_changes(self, channel: str, after: int) -> tuple[list[Change], int]:
        self.reads += 1
        if self.failures:
            self.failures -= 1
            raise self.error
        head = min(len(self.committed), after + self.page)
        await asyncio.sleep(0)
        numbers = [number for number in range(after + 1, head + 1) if number not in self.gone]
        previous = [after, *numbers]
        return [change(*pair) for pair in zip(numbers, previous, strict=False)], head

    def subscribe(self, name: str) -> None:
        got = self.received[name] = []
        self.subscribers[name] = Subscriber(name, self._send_queue(got))
        self.hub.subscribe("c", self.subscribers[name])

    def _send_queue(self, got: list[str]) -> SendQueue:
        self._flusher = self._flusher or Flusher(asyncio.get_running_loop())
        return SendQueue(Reader(got), self._flusher)

    def release(self, name: str, head: int) -> None:
        """And as many as listen beside, who leave with the last of the others."""
        self.hub.release("c", self.subscribers[name], head)
        for at in range(Beside.count if len(self.subscribers) == 1 else 0):
            beside = Subscriber(f"beside {at}", self._send_queue([]))
            self.hub.subscribe("c", beside)
            self.hub.release("c", beside, head)

    def unsubscribe(self, name: str) -> None:
        self.hub.unsubscribe("c", name)
        del self.subscribers[name]
        for at in range(0 if self.subscribers else Beside.count):
            self.hub.unsubscribe("c", f"beside {at}")

    def numbers(self, name: str) -> list[int]:
        return [int(text) for text in self.received[name] if text.isdigit()]


async def all_repaired() -> None:
    async with asyncio.timeout(5):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)  # repairs may be cancelled
    await turn()


async def turn() -> None:
    """What was given to the send queues is written."""
    await asyncio.sleep(0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()
        await all_repaired()

    asyncio.run(whole())


def up_to(number: int) -> list[Change]:
    return [change(each) for each in range(1, number + 1)]


arrivals = st.integers(1, 12).flatmap(
    lambda last: st.tuples(
        st.just(last),
        st.lists(st.integers(1, last), min_size=1, max_size=30),  # duplicates, losses, any order
        st.lists(st.integers(0, last), max_size=6),  # what passing messages follow
        st.randoms(use_true_random=False),
        st.integers(0, 2),
    )
)


@given(arrivals)
def test_every_change_is_delivered_once_and_in_order(drawn: Any) -> None:
    last, numbers, follows, random, failures = drawn
    channel = Channel(committed=up_to(last), failures=failures)
    items: list[Change | Ephemeral] = [change(number) for number in numbers]
    items += [ephemeral(place, f"p{at}") for at, place in enumerate(follows)]
    random.shuffle(items)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        for item in items:
            channel.hub.announce(item)
            if random.random() < 0.3:
                await asyncio.sleep(0)

    run(scenario)
    known = max(numbers + follows)
    delivered = channel.numbers("jim")
    assert delivered == list(range(1, len(delivered) + 1))
    assert len(delivered) >= known
    got = channel.received["jim"]
    for at, place in enumerate(follows):
        assert got.count(f"p{at}") == 1
        assert place == 0 or got.index(str(place)) < got.index(f"p{at}")


@given(arrivals, st.booleans(), st.sampled_from([None, "jim"]))
def test_messages_in_a_row_come_as_each_would_alone(
    drawn: Any, echo: bool, origin: str | None
) -> None:
    """To one who listens, one who has not been released yet, and one who is ahead."""
    last, numbers, follows, random, _ = drawn
    rows = [(place, [f"p{at}-{n}" for n in range(3)]) for at, place in enumerate(follows)]
    items: list[Change | Ephemeral] = [change(number) for number in numbers]
    items += [ephemeral(place, *names, echo=echo, origin=origin) for place, names in rows]
    random.shuffle(items)
    release_at = random.randrange(len(items))

    def told(together: bool) -> dict[str, list[str]]:
        channel = Channel(committed=up_to(last))

        async def scenario() -> None:
            for name in ("jim", "late", "ahead"):
                channel.subscribe(name)
            channel.release("jim", 0)
            channel.release("ahead", last)
            for at, item in enumerate(items):
                if at == release_at:
                    channel.release("late", 0)
                if isinstance(item, Change) or together:
                    channel.hub.announce(item)
                else:
                    for frame in item.frames:
                        channel.hub.announce(structs.replace(item, frames=[frame]))

        run(scenario)
        return channel.received

    assert told(together=True) == told(together=False)


@given(arrivals, st.sets(st.integers(1, 12)))
def test_what_the_database_no_longer_holds_holds_nothing_up(drawn: Any, gone: set[int]) -> None:
    last, numbers, _, random, _ = drawn
    channel = Channel(committed=up_to(last), gone=gone)
    random.shuffle(numbers)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        for number in numbers:
            channel.hub.announce(change(number))
        channel.hub.announce(ephemeral(last, "p"))
        await all_repaired()
        channel.committed.append(change(last + 1))
        channel.hub.announce(channel.committed[-1])

    run(scenario)
    delivered = channel.numbers("jim")
    assert delivered == sorted(set(delivered))
    assert set(delivered) >= set(range(1, last + 2)) - gone
    assert channel.received["jim"][-2:] == ["p", str(last + 1)]


@given(st.data())
def test_a_subscriber_gets_what_is_above_its_head_and_nothing_below(data: st.DataObject) -> None:
    """Commits, announcements on their way, and subscribers that join: in any order at all."""
    channel, on_the_way = Channel(), list[Change]()
    heads: dict[str, int] = {}
    unsettled: list[str] = []

    def commit() -> None:
        channel.committed.append(change(len(channel.committed) + 1))
        on_the_way.append(channel.committed[-1])

    def arrive() -> None:
        if on_the_way:
            item = on_the_way.pop(data.draw(st.integers(0, len(on_the_way) - 1)))
            if data.draw(st.booleans()) or item.number == len(channel.committed):
                channel.hub.announce(item)  # else it is lost

    def join() -> None:
        name = f"s{len(heads)}"
        channel.subscribe(name)
        heads[name] = len(channel.committed)  # its subscription is committed with this head
        unsettled.append(name)

    def settle() -> None:
        if unsettled:
            name = unsettled.pop(0)  # the writer answers in the order of the commits
            channel.release(name, heads[name])

    async def scenario() -> None:
        for step in data.draw(st.lists(st.sampled_from([commit, arrive, join, settle]))):
            step()
            if data.draw(st.booleans()):
                await asyncio.sleep(0)
        commit()
        while unsettled:
            settle()
        channel.hub.announce(channel.committed[-1])

    run(scenario)
    for name, head in heads.items():
        assert channel.numbers(name) == list(range(head + 1, len(channel.committed) + 1))


@given(
    st.lists(st.sampled_from(["stored", "passing", "another's"]), min_size=1, max_size=12),
    st.sets(st.integers(1, 12)),
    st.randoms(use_true_random=False),
)
def test_what_one_sends_keeps_its_order(
    sends: list[str], lost: set[int], random: random.Random
) -> None:
    """Stored or passing, though stored ones are lost on the way and others' come in between."""
    channel, own, others, expected, last = Channel(), list[Any](), list[Change](), [], 0
    for send in sends:
        if send == "passing":
            own.append(ephemeral(last, f"p{len(own)}"))
            expected.append(f"p{len(own) - 1}")
            continue
        number = len(channel.committed) + 1
        channel.committed.append(change(number))
        if send == "stored":
            own.append(change(number))
            expected.append(str(number))
            last = number
        else:
            others.append(change(number))
    arriving = [*own]
    for item in others:
        arriving.insert(random.randint(0, len(arriving)), item)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        for item in arriving:
            if not (isinstance(item, Change) and item.number in lost):
                channel.hub.announce(item)
        for item in channel.committed[-1:]:
            channel.hub.announce(item)

    run(scenario)
    assert [text for text in channel.received["jim"] if text in expected] == expected


def test_nothing_is_read_while_nothing_is_missing() -> None:
    channel = Channel(committed=up_to(3))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        for number in (2, 1, 3):
            channel.hub.announce(change(number))

    run(scenario)
    assert channel.numbers("jim") == [1, 2, 3]
    assert channel.reads == 0


@pytest.mark.parametrize(
    "error", [ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away."), RuntimeError("a mistake")]
)
def test_a_gap_is_read_again_until_that_succeeds(error: Exception) -> None:
    channel = Channel(committed=up_to(2), failures=3, error=error)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.announce(change(2))

    run(scenario)
    assert channel.numbers("jim") == [1, 2]
    assert channel.reads == 4


def test_a_gap_is_read_once_though_its_end_is_gone() -> None:
    """What was read up to is known, also where the last of it is no longer there."""
    channel = Channel(committed=up_to(4), gone={3, 4})

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.announce(change(2))
        await all_repaired()
        channel.committed.append(change(5))
        channel.hub.announce(change(5))
        await turn()
        assert channel.numbers("jim") == [1, 2, 5]

    run(scenario)
    assert channel.reads == 1


def test_a_passing_message_overtakes_nobody_elses_gap() -> None:
    """Of a sender whose own changes have all been delivered: it need not wait (P4)."""
    channel = Channel(committed=up_to(3), failures=10**9)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.announce(change(3))
        channel.hub.announce(ephemeral(0, "typing"))
        await turn()
        assert channel.received["jim"] == ["typing"]
        channel.unsubscribe("jim")

    asyncio.run(scenario())


SMALL = 10 * (BYTES_OF_ANNOUNCEMENT + 20)


@pytest.mark.parametrize("limit", ["MAX_WAITING_BYTES", "MAX_ALL_WAITING_BYTES"])
def test_what_waits_for_the_database_is_bounded_and_each_change_comes(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Also where other channels have taken all the room; passing messages may be lost."""
    monkeypatch.setattr(hub, limit, SMALL)
    channel = Channel(committed=up_to(30), failures=5)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        for number in range(2, 31):
            channel.hub.announce(ephemeral(1, f"before {number}"))
            channel.hub.announce(change(number))
            assert channel.hub._waiting.bytes <= SMALL
        await all_repaired()
        assert channel.hub._waiting.bytes == 0
        channel.hub._waiting.bytes = hub.MAX_ALL_WAITING_BYTES
        channel.committed.extend([change(31), change(32)])
        channel.hub.announce(change(32))

    run(scenario)
    assert channel.numbers("jim") == list(range(1, 33))
    assert 0 < len(channel.received["jim"]) - 32 < 10


def test_who_is_not_released_holds_back_what_could_be_sent_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "MAX_UNSENT_BYTES", SMALL)
    channel = Channel()

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.subscribe("pam")  # her subscription is not committed yet
        pam = channel.subscribers["pam"]
        for number in range(20):
            channel.hub.announce(ephemeral(0, f"p{number}"))
        assert not pam.send_queue.closing
        channel.hub.announce(change(1))
        assert pam.send_queue.close_code == CloseCode.TRY_AGAIN_LATER
        assert pam.held_bytes <= SMALL

    run(scenario)


@pytest.mark.parametrize("known", [True, False])
def test_what_was_before_it_subscribed_is_not_held_back(
    monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Its process stood still, and reads a long gap."""
    monkeypatch.setattr(hub, "MAX_UNSENT_BYTES", SMALL)
    channel = Channel(committed=up_to(30))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.announce(change(30))  # 1 to 29 did not come
        channel.subscribe("pam")
        if known:
            channel.release("pam", 30)
        await all_repaired()
        assert len(channel.received["jim"]) == 30
        assert not channel.subscribers["pam"].send_queue.closing
        channel.release("pam", 30)
        channel.hub.announce(change(31))

    run(scenario)
    assert channel.received["pam"] == ["31"]


def test_a_feed_that_ends_gives_back_its_room() -> None:
    channel = Channel()

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.hub.announce(change(2))
        channel.unsubscribe("jim")

    run(scenario)
    assert channel.hub._waiting.bytes == 0


@pytest.mark.parametrize(("echo", "got"), [(False, []), (True, ["1", "p"])])
def test_the_sender_gets_its_own_only_with_echo(echo: bool, got: list[str]) -> None:
    channel = Channel(committed=up_to(1))

    async def scenario() -> None:
        for name in ("jim", "pam"):
            channel.subscribe(name)
            channel.release(name, 0)
        channel.hub.announce(change(1, origin="jim", echo=echo))
        channel.hub.announce(ephemeral(1, "p", origin="jim", echo=echo))

    run(scenario)
    assert channel.received == {"jim": got, "pam": ["1", "p"]}


@pytest.mark.parametrize("held", [True, False])
def test_a_storage_entry_s_change_is_for_those_who_observe_its_key(held: bool) -> None:
    """To all others it leaves no gap; what was read again after a gap is not for them either."""
    channel = Channel(committed=[change(1, key="a"), change(2), change(3, key="b"), change(4)])

    async def read_changes(name: str, after: int) -> tuple[list[Change], int]:
        return channel.committed[after:], 4

    async def scenario() -> None:
        channel.hub = Hub(read_changes, MemoryBroker())
        for name, keys in (("jim", "a"), ("pam", "ab"), ("eve", "")):
            channel.subscribe(name)
            channel.subscribers[name].observes = keys.__contains__
        names = list(channel.subscribers)
        for name in names if not held else names[:1]:
            channel.release(name, 0)
        for number in (1, 2, 4):  # the third is lost
            channel.hub.announce(channel.committed[number - 1])
        await all_repaired()
        for name in names[1:] if held else ():
            channel.release(name, 0)

    run(scenario)
    assert [channel.numbers(name) for name in ("jim", "pam", "eve")] == [
        [1, 2, 4],
        [1, 2, 3, 4],
        [2, 4],
    ]


def test_after_leaving_nothing_comes() -> None:
    channel = Channel(committed=up_to(3))

    async def scenario() -> None:
        for name in ("jim", "pam"):
            channel.subscribe(name)
            channel.release(name, 0)
        channel.hub.announce(change(1))
        channel.unsubscribe("jim")
        channel.hub.announce(change(3))

    run(scenario)
    assert channel.received == {"jim": ["1"], "pam": ["1", "2", "3"]}


def test_the_last_to_leave_ends_the_repair() -> None:
    channel = Channel(committed=up_to(2), failures=10**9)

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.announce(change(2))
        channel.unsubscribe("jim")
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
    assert channel.received["jim"] == []


def test_one_who_comes_again_begins_at_its_new_head() -> None:
    channel = Channel(committed=up_to(5))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 1)
        channel.unsubscribe("jim")
        channel.hub.announce(change(2))
        channel.subscribe("jim")
        channel.release("jim", 4)
        channel.hub.announce(change(5))

    run(scenario)
    assert channel.received["jim"] == ["5"]


def test_what_nobody_listens_to_is_forgotten() -> None:
    channel = Channel()
    channel.hub.announce(change(1))
    channel.hub.unsubscribe("c", "nobody")
    assert not channel.reads


# --- in batches ---------------------------------------------------------------------------------

FEW = hub.MAX_UNBATCHED
NAMES = [f"s{at}" for at in range(hub.MAX_UNBATCHED + 4)]


@dataclass
class Plain:
    """What a subscriber gets, without batches: one item after the other."""

    name: str
    keys: str
    got: list[str] = field(default_factory=list)
    head: int | None = None  # None: it is held back
    held: list[Change | Ephemeral] = field(default_factory=list)

    def take(self, item: Change | Ephemeral, last: int) -> None:
        key = item.key if isinstance(item, Change) else None
        if key is None or key in self.keys:
            self.held.append(item)
        self.catch_up(last)

    def catch_up(self, last: int) -> None:
        """`last` is the number of the last change that the channel has delivered."""
        if self.head is None or self.head > last:
            return
        for item in self.held:
            above = isinstance(item, Ephemeral) or item.number > self.head
            if above and (item.echo or item.origin != self.name):
                self.got += texts(item)
        self.held.clear()


def texts(item: Change | Ephemeral) -> list[str]:
    if isinstance(item, Change):
        return [item.event.payload.decode()]
    return [payload.decode() for frame in item.frames for _, payload in payloads(frame)]


@settings(max_examples=80)
@given(st.data())
def test_each_gets_what_it_would_get_without_batches(data: st.DataObject) -> None:
    """Whoever joins, is let through, leaves or is answered between, in the same turn or later."""
    steps = st.sampled_from(
        ["join", "settle", "leave", "change", "passing", "row", "answer", "turn"]
    )
    weighted = st.lists(steps | st.sampled_from(["join", "settle", "passing"]), max_size=60)
    channel, model, finished = Channel(), dict[str, Plain](), list[tuple[Plain, list[str]]]()
    counter, number = 0, 0

    def drawn_name(among: list[str]) -> str:
        return data.draw(st.sampled_from(among))

    def leave(name: str) -> None:
        channel.hub.unsubscribe("c", name)
        finished.append((model.pop(name), channel.received[name]))

    def announce(item: Change | Ephemeral) -> None:
        channel.hub.announce(item)
        for one in model.values():
            one.take(item, number)

    async def scenario() -> None:
        nonlocal counter, number
        channel.subscribe("first")  # so that the channel never ends
        channel.hub.release("c", channel.subscribers["first"], 0)
        model["first"] = Plain("first", "", head=0)
        for name in NAMES[
            : data.draw(st.sampled_from([0, hub.MAX_UNBATCHED, hub.MAX_UNBATCHED + 1]))
        ]:
            channel.subscribe(name)
            channel.hub.release("c", channel.subscribers[name], 0)
            model[name] = Plain(name, "", head=0)
        for step in data.draw(weighted):
            counter += 1
            others = [name for name in model if name != "first"]
            absent = [name for name in NAMES if name not in model]
            unsettled = [name for name in others if model[name].head is None]
            rest = {
                "origin": data.draw(st.sampled_from([None, *NAMES]))
                if step in ("change", "passing", "row")
                else None
            }
            if step == "join" and absent:
                name, keys = absent[0], data.draw(st.sampled_from(["", "a", "ab"]))
                channel.subscribe(name)
                channel.subscribers[name].observes = keys.__contains__
                model[name] = Plain(name, keys)
            elif step == "settle" and unsettled:
                name, head = drawn_name(unsettled), number + data.draw(st.integers(0, 2))
                channel.hub.release("c", channel.subscribers[name], head)
                model[name].head = head
                model[name].catch_up(number)
            elif step == "leave" and others:
                leave(drawn_name(others))
            elif step == "change":
                number += 1
                key = data.draw(st.sampled_from([None, None, "a", "b"]))
                announce(change(number, key=key, echo=data.draw(st.booleans()), **rest))
            elif step == "passing":
                announce(ephemeral(number, f"p{counter}", echo=data.draw(st.booleans()), **rest))
            elif step == "row":
                names = [f"r{counter}-{at}" for at in range(2)]
                announce(ephemeral(number, *names, echo=data.draw(st.booleans()), **rest))
            elif step == "answer":
                name = drawn_name([*model])
                channel.subscribers[name].send_queue.push(encoded(b"a%d" % counter))
                model[name].got.append(f"a{counter}")
            elif step == "turn":
                await turn()
        for name in [*model]:
            leave(name)

    run(scenario)
    for plain, got in finished:
        assert got == plain.got


@pytest.mark.parametrize("count", [hub.MAX_UNBATCHED, hub.MAX_UNBATCHED + 1])
def test_what_a_sender_does_not_get_ends_no_order(count: int) -> None:
    """Its own without echo, others' and answers, all in one turn."""
    channel, names = Channel(), NAMES[:count]

    async def scenario() -> None:
        for name in names:
            channel.subscribe(name)
            channel.hub.release("c", channel.subscribers[name], 0)
        for at, origin in enumerate([*names, None, names[0], names[0], None]):
            channel.hub.announce(ephemeral(0, f"p{at}", origin=origin))
            if at == 1:
                channel.subscribers[names[2]].send_queue.push(encoded(b"answer"))

    run(scenario)
    sent = [*(f"p{at}" for at in range(count + 4))]
    for at, name in enumerate(names):
        own = {f"p{at}"} | ({f"p{count + 1}", f"p{count + 2}"} if at == 0 else set())
        expected = [text for text in sent if text not in own]
        if at == 2:
            expected.insert(2, "answer")
        assert channel.received[name] == expected


@pytest.mark.parametrize("count", [hub.MAX_UNBATCHED, hub.MAX_UNBATCHED + 1, hub.MAX_UNBATCHED + 2])
def test_who_leaves_or_comes_within_a_turn_gets_no_more_and_no_less(count: int) -> None:
    channel, names = Channel(), NAMES[:count]

    async def scenario() -> None:
        for name in names:
            channel.subscribe(name)
            channel.hub.release("c", channel.subscribers[name], 0)
        channel.hub.announce(ephemeral(0, "one"))
        channel.hub.unsubscribe("c", names[0])
        channel.hub.announce(ephemeral(0, "two"))
        channel.subscribe("late")
        channel.hub.announce(ephemeral(0, "three"))
        channel.hub.release("c", channel.subscribers["late"], 0)
        channel.hub.announce(ephemeral(0, "four"))

    run(scenario)
    whole = ["one", "two", "three", "four"]
    got = {name: channel.received[name] for name in names[1:]}
    assert got == dict.fromkeys(names[1:], whole)
    assert channel.received[names[0]] == whole[:1]
    assert channel.received["late"] == whole[2:]


class Link(MemoryBroker):
    """A broker. While it is connected, the test decides how long a gap is waited for: `over` ends
    each such time."""

    status = BrokerStatus.CONNECTED

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, works: bool = True) -> None:
        self.status = BrokerStatus.CONNECTED if works else BrokerStatus.DISCONNECTED
        self._waits: list[asyncio.Future[None]] = []
        self._sleep = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self._wait)

    async def _wait(self, seconds: float) -> None:
        if seconds == hub.CONNECTED_REPAIR_AFTER_SECONDS:
            self._waits.append(asyncio.get_running_loop().create_future())
            await self._waits[-1]
        else:
            await self._sleep(seconds)

    async def over(self) -> None:
        await turns()
        for wait in self._waits:
            wait.set_result(None)
        self._waits.clear()
        await turns()


async def turns() -> None:
    """Time enough for a gap to be read."""
    for _ in range(20):
        await turn()


@pytest.mark.parametrize(
    ("works", "got"), [(True, ["1", "p", "2", "3"]), (False, ["1", "2", "3", "p"])]
)
def test_what_a_link_that_works_brings_late_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, works: bool, got: list[str]
) -> None:
    """Its process is busy: the database would have its stored messages before the link brings the
    passing one between them (P4)."""
    channel = Channel(committed=up_to(3))

    async def scenario() -> None:
        link = Link(monkeypatch, works=works)
        channel.hub.broker = link
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.deliver(change(3))  # of another process, which is not busy
        await turns()
        for item in (change(1), ephemeral(1, "p"), change(2)):
            channel.hub.deliver(item)
        await link.over()

    run(scenario)
    assert channel.received == {"jim": got}


def test_each_gap_is_waited_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one closes in time; the next begins before that one's time is over."""
    channel = Channel(committed=up_to(5))

    async def scenario() -> None:
        link = Link(monkeypatch)
        channel.hub.broker = link
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.deliver(change(2))
        await turns()
        channel.hub.deliver(change(1))
        channel.hub.deliver(change(5))
        await link.over()
        for item in (change(3), ephemeral(3, "p"), change(4)):
            channel.hub.deliver(item)
        await link.over()

    run(scenario)
    assert channel.received == {"jim": ["1", "2", "3", "p", "4", "5"]}
    assert channel.reads == 0


def test_what_a_link_that_works_has_lost_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(committed=up_to(3))

    async def scenario() -> None:
        link = Link(monkeypatch)
        channel.hub.broker = link
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.deliver(change(3))
        await link.over()

    run(scenario)
    assert channel.numbers("jim") == [1, 2, 3]


def test_the_parts_of_a_gap_are_read_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was waited for once is missing."""
    channel = Channel(committed=up_to(5), page=2)

    async def scenario() -> None:
        link = Link(monkeypatch)
        channel.hub.broker = link
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.check([("c", 5)])
        await link.over()

    run(scenario)
    assert channel.numbers("jim") == [1, 2, 3, 4, 5]
    assert channel.reads == 3


def test_a_change_that_is_gone_holds_back_nobody() -> None:
    channel = Channel(committed=up_to(2), gone={2})

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 1)
        channel.subscribe("pam")
        channel.release("pam", 2)
        channel.hub.deliver(ephemeral(2, "p"))
        await all_repaired()

    run(scenario)
    assert channel.received == {"jim": ["p"], "pam": ["p"]}


def test_who_takes_longer_to_begin_misses_nothing_that_came_before_another_began() -> None:
    channel = Channel(committed=up_to(3))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.hub.place("c", channel.subscribers["jim"], 0)
        channel.hub.announce(change(1))
        channel.hub.announce(change(2))
        channel.subscribe("pam")
        channel.release("pam", 2)
        channel.hub.announce(change(3))
        await turn()
        assert channel.received == {"jim": [], "pam": ["3"]}
        channel.release("jim", 0)

    run(scenario)
    assert channel.numbers("jim") == [1, 2, 3]
    assert channel.reads == 0


@pytest.mark.parametrize("takes", [True, False])
def test_what_waited_comes_in_pieces_as_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    """Whatever is announced meanwhile; one who takes nothing holds it up for a while only."""
    monkeypatch.setattr(hub, "PIECE_BYTES", 1)
    monkeypatch.setattr(hub, "PIECE_POLL_SECONDS", 0)
    monkeypatch.setattr(hub, "PIECE_SECONDS", 0 if not takes else 60)
    channel = Channel(committed=up_to(8))
    monkeypatch.setattr(SendQueue, "behind", property(lambda _: any(channel.received.values())))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub.deliver(change(5))
        for number in (6, 7, 8):
            await turns()
            if takes:
                assert channel.numbers("jim") == [1]
            channel.hub.deliver(change(number))
        monkeypatch.setattr(SendQueue, "behind", False)

    run(scenario)
    assert channel.numbers("jim") == list(range(1, 9))


def test_nothing_overtakes_the_rest_of_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PIECE_BYTES", 1)
    channel = Channel(committed=up_to(2))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        for name in ("p1", "p2", "p3"):
            channel.hub.deliver(ephemeral(2, name))
        while "2" not in channel.received.get("jim", ()):
            await turn()
        channel.hub.deliver(ephemeral(2, "p4"))

    run(scenario)
    assert channel.received["jim"] == ["1", "2", "p1", "p2", "p3", "p4"]


# --- replies --------------------------------------------------------------------------------------


def reply(channel: Channel, name: str, after: int, text: str) -> bool:
    return channel.hub.reply("c", name, after, encoded(text.encode()))


def test_a_reply_follows_the_change_that_it_tells_of() -> None:
    """At once where that was sent before; else before anything later."""
    channel = Channel(committed=up_to(5))

    async def scenario() -> None:
        for name in ("jim", "pam"):
            channel.subscribe(name)
            channel.release(name, 0)
        channel.hub.deliver(change(1))
        assert reply(channel, "jim", 1, "a1")
        channel.hub.deliver(change(3))
        channel.hub.deliver(ephemeral(3, "p"))
        reply(channel, "jim", 3, "a3")
        channel.hub.deliver(change(4))
        reply(channel, "jim", 1, "a1 again")
        await turn()
        assert channel.received["jim"] == ["1", "a1", "a1 again"]

    run(scenario)
    assert channel.received["jim"] == ["1", "a1", "a1 again", "2", "3", "p", "a3", "4", "5"]
    assert channel.received["pam"] == ["1", "2", "3", "p", "4", "5"]
    assert channel.hub._waiting.bytes == 0


def test_a_reply_finds_the_change_of_which_nothing_was_announced() -> None:
    channel = Channel(committed=up_to(2))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        reply(channel, "jim", 2, "a2")
        await all_repaired()

    run(scenario)
    assert channel.received["jim"] == ["1", "2", "a2"]


def test_whoever_does_not_subscribe_or_leaves_does_not_wait_for_it() -> None:
    channel = Channel(committed=up_to(2))

    async def scenario() -> None:
        assert not reply(channel, "jim", 2, "a2")
        for name in ("jim", "pam"):
            channel.subscribe(name)
            channel.release(name, 0)
        assert not reply(channel, "nobody", 2, "a2")
        for name in ("pam", "jim", "pam"):
            reply(channel, name, 2, f"a2 {name}")
        channel.unsubscribe("jim")
        channel.unsubscribe("pam")
        await turn()
        assert channel.received == {"jim": ["a2 jim"], "pam": ["a2 pam", "a2 pam"]}

    run(scenario)
    assert channel.hub._waiting.bytes == 0


def test_a_reply_for_which_there_is_no_room_is_sent_at_once() -> None:
    channel = Channel(committed=up_to(2))

    async def scenario() -> None:
        channel.subscribe("jim")
        channel.release("jim", 0)
        channel.hub._waiting.bytes = hub.MAX_ALL_WAITING_BYTES
        reply(channel, "jim", 2, "a2")
        await turn()
        assert channel.received["jim"] == ["a2"]

    run(scenario)

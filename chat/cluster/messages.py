"""What brokers send between processes: messages of entries, which are lists of a kind and its
fields (design.md section 4, "Between processes").

Each has a checksum that only who knows the site's key can make. Its entries name their channels, so
that it does the same at any address; of one that is sent again, numbers tell durable changes, and
ephemeral messages come twice. In a rolling exchange with a server of commit 6a94d71, whose messages
have no checksum, each reads in the database what the other has stored.
"""

import asyncio
import hmac
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypedDict, cast

from django.conf import settings as django_settings

from chat.counts import counts
from chat.fanout.announcements import BYTES_OF_ANNOUNCEMENT, Announcement, Change, Ephemeral
from chat.fanout.broker import Handlers
from chat.fanout.hub import Hub
from chat.protocol.events import Event, encoded, payloads

log = logging.getLogger("chat.broker")
dropped = logging.getLogger("chat.broker.dropped")  # of whoever can reach the broker

VERSION: Final = 3  # raised when processes of the version before could not read it
EVERYBODY: Final = "everybody"  # the group of all processes

# Kinds of entries; these literals are on the wire.
CHANGE: Final = "change"
EPHEMERAL: Final = "passing"
CHECK: Final = "check"  # look for what may have been lost
PROBE: Final = "probe"  # of a process to itself

MAX_QUEUED_BYTES: Final = 16 * 1024 * 1024  # what comes on top is dropped
MAX_SENT_BYTES: Final = 1024 * 1024  # in one round trip, beside its last announcement
SEND_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.5
PROBE_SECONDS: Final = 5.0
MISSED_PROBES: Final = 2
FLUSH_SECONDS: Final = 1.0
DROPPED_SECONDS: Final = 1.0
CHECKSUM_BYTES: Final = 16
DROPPED: Final = (
    "%d messages were dropped that came from another release, or from somebody without this site's"
    " key"
)

Entry = list[object]
Message = TypedDict("Message", {"type": str, "v": int, "from": str, "checksum": str, "body": bytes})


def message(body: bytes, sender: str = "") -> Message:
    """`body` are its entries as the broker encodes them. `sender` is a node's id, "" for a process
    that serves nobody; the layer asks for a type."""
    made = checksum(body)
    return {"type": "chat", "v": VERSION, "from": sender, "checksum": made, "body": body}


def checksum(body: bytes) -> str:
    """HMAC-SHA-256 under the site's key, cut to CHECKSUM_BYTES, as RFC 2104 allows."""
    return hmac.digest(_key(), body, "sha256")[:CHECKSUM_BYTES].hex()


@cache
def _key() -> bytes:
    """Derived from SECRET_KEY, which has other uses."""
    return hmac.digest(django_settings.SECRET_KEY.encode(), b"chat.broker", "sha256")


def encode(item: Announcement, form: Callable[[bytes], object] = bytes) -> Entry:
    """An entry for a change, or for ephemeral messages of one sender; payloads in this form."""
    where, sender = (item.channel, item.previous), (item.origin, item.echo)
    if isinstance(item, Change):
        return [CHANGE, *where, form(item.event.payload), *sender, item.number, item.key]
    sent = [form(payload) for frame in item.frames for _, payload in payloads(frame)]
    return [EPHEMERAL, *where, sent, *sender]


async def first_of(*awaited: Awaitable[object]) -> None:
    """Until one of them ends, whose exception it raises; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in awaited]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


# --- what comes in ------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Inbox:
    """Gives what other processes announce to the hub, what they notify of to the handler of its
    kind. `check` is called where something may have been lost. `decode` makes entries of a body."""

    node_id: str
    hub: Hub
    check: Callable[[], object]
    handlers: Handlers
    decode: Callable[[bytes], list[Entry]]
    returned: int = 0  # messages of this process that came back to it
    probed_at: float | None = field(default=None, init=False)  # when the one under way was queued
    _lag: float = field(default=0.0, init=False)  # of the probe before
    _dropped: int = field(default=0, init=False)  # and not told yet

    def __post_init__(self) -> None:
        own: Handlers = {
            CHANGE: self._deliver_change,
            EPHEMERAL: self._deliver_ephemeral,
            CHECK: self.check,
        }
        self.handlers = {**self.handlers, **own}

    def take(self, message: Message) -> None:
        """Anybody may have sent it, whatever it says and however it is made."""
        try:
            if message["from"] == self.node_id:
                self.returned += 1
                if self.probed_at is not None and PROBE.encode() in message["body"]:
                    self.note_probe()
                return
            if message["v"] != VERSION:
                self.drop("version")
                return
            if not hmac.compare_digest(message["checksum"], checksum(message["body"])):
                self.drop("checksum")
                return
            entries = self.decode(message["body"])
        except Exception:  # the outermost edge
            self.drop("malformed")
        else:
            for entry in entries:
                self._take(entry)

    def drop(self, reason: str = "malformed") -> None:
        """A message is passed over; what it may have told of is looked for in the database, once
        for all of DROPPED_SECONDS: who sends many costs no more."""
        if not self._dropped:
            asyncio.get_running_loop().call_later(DROPPED_SECONDS, self._tell_dropped)
        self._dropped += 1
        counts.broker_dropped[reason] += 1

    def _tell_dropped(self) -> None:
        dropped.warning(DROPPED, self._dropped)
        self._dropped = 0
        self.check()

    def note_probe(self) -> None:
        """It has come back."""
        self._lag, self.probed_at = self._under_way, None

    @property
    def lag(self) -> float:
        """As a Broker's."""
        return max(self._lag, self._under_way)

    @property
    def _under_way(self) -> float:
        return 0.0 if self.probed_at is None else time.monotonic() - self.probed_at

    def _take(self, entry: Entry) -> None:
        try:
            kind, *fields = entry
            handler = self.handlers.get(cast("str", kind))
            if handler is not None:
                handler(*fields)
            else:  # such as "ask umd" of a server of commit 6a94d71, which then goes on by itself
                counts.broker_dropped["version"] += 1
                log.info("An entry of the kind %r, of another version, was ignored", kind)
        except Exception:  # the outermost edge: the next one is read all the same
            counts.broker_dropped["malformed"] += 1
            log.exception("An entry of another process could not be read")

    def _deliver_change(
        self,
        channel: str,
        previous: int,
        payload: bytes | str,
        origin: str | None,
        echo: bool,
        number: int,
        key: str | None,
    ) -> None:
        event = _event(payload)
        self.hub.deliver(Change(channel, previous, number, event, origin, echo, key))

    def _deliver_ephemeral(
        self,
        channel: str,
        previous: int,
        sent: list[bytes | str],
        origin: str | None,
        echo: bool,
    ) -> None:
        frames = [_event(payload).frame for payload in sent]
        self.hub.deliver(Ephemeral(channel, previous, frames, origin, echo))


def _event(payload: bytes | str) -> Event:
    return encoded(payload if isinstance(payload, bytes) else payload.encode())


# --- the queue of messages that go out ----------------------------------------------------------


class Announcer:
    """A process's queue to the others, sent in order by one task; nobody waits for it.

    What it cannot send, the others find in the database, by the numbers of their channels: it asks
    them to check as soon as it can send again. `send` takes messages with their groups; `encode`
    makes a body of entries; `failures` are what `send` raises where it cannot send.
    """

    def __init__(
        self,
        node_id: str,
        send: Callable[[Sequence[tuple[str, Message]]], Awaitable[None]],
        encode: Callable[[list[Entry]], bytes],
        failures: tuple[type[Exception], ...],
    ) -> None:
        self._node_id = node_id
        self._send = send
        self._encode = encode
        self._failures = failures
        self._queue: deque[tuple[str, Entry, int]] = deque()
        self._bytes = 0
        self._under_way = 0  # of those that were queued
        self._queued = asyncio.Event()
        self._dropped = False  # since the others were last asked to check
        self.has_lost = False  # the same, or it could not be sent
        self.all_sent = asyncio.Event()
        self.all_sent.set()

    @property
    def backlog(self) -> int:
        """Bytes that are queued."""
        return self._bytes

    def put(self, group: str, entry: Entry, size: int = BYTES_OF_ANNOUNCEMENT) -> None:
        """`size` is about its bytes of memory."""
        if self._bytes + size <= MAX_QUEUED_BYTES:
            self._queue.append((group, entry, size))
            self._bytes += size
        else:
            self.has_lost = self._dropped = True
            counts.broker_dropped["full"] += 1
        self._queued.set()
        self.all_sent.clear()

    async def run(self) -> None:
        """Sends what is queued, MAX_SENT_BYTES in a round trip; meanwhile more is queued."""
        while True:
            await self._queued.wait()
            self._dropped = False
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(self._messages())
            except Exception as error:
                counts.broker_failures += 1
                counts.broker_dropped["unsent"] += self._under_way + len(self._queue)
                if not self.has_lost:
                    late = f"no answer within {SEND_SECONDS:g} s"
                    why = late if isinstance(error, TimeoutError) else str(error) or repr(error)
                    log.warning("Nothing can be sent to other processes: %s", why)
                self.has_lost = True
                self._queue.clear()  # ephemeral messages would come late
                self._bytes = 0
                if not isinstance(error, self._failures):
                    raise
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self.has_lost and not self._dropped:
                self.has_lost = False
                log.warning("Other processes receive announcements again")
            if not (self._queue or self.has_lost):
                self._queued.clear()
                self.all_sent.set()

    def _messages(self) -> list[tuple[str, Message]]:
        by_group: dict[str, list[Entry]] = {EVERYBODY: [[CHECK]]} if self.has_lost else {}
        left = self._bytes - MAX_SENT_BYTES
        self._under_way = 0
        while self._queue and self._bytes > left:
            group, entry, size = self._queue.popleft()
            self._bytes -= size
            self._under_way += 1
            by_group.setdefault(group, []).append(entry)
        if EVERYBODY in by_group:  # behind what was announced before (runtime/order.py)
            by_group[EVERYBODY] = by_group.pop(EVERYBODY)
        return [
            (group, message(self._encode(entries), self._node_id))
            for group, entries in by_group.items()
        ]

    async def probe(self, group: str, inbox: Inbox) -> None:
        """A link can go deaf while it looks alive: what this process sends itself in `group` must
        come back. Raises ConnectionError once it does not."""
        missed, inbox.probed_at = 0, None
        while missed < MISSED_PROBES:
            returned = inbox.returned
            inbox.probed_at = inbox.probed_at or time.monotonic()
            self.put(group, [PROBE])
            await asyncio.sleep(PROBE_SECONDS)
            missed = missed + 1 if inbox.returned == returned else 0
        raise ConnectionError("what this process sends itself does not come back")

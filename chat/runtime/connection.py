"""The connections of this process: who is let in, what each may do and where its frames go, and
when each is due for something (protocol.md section 6)."""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Final

from chat.conf import settings
from chat.fanout.send_queue import SendQueue
from chat.protocol import events, frames
from chat.protocol.addresses import network
from chat.protocol.errors import CloseCode, ErrorCode, ProtocolError
from chat.protocol.session import Session, Subscription
from tokens.claims import Claims
from tokens.conf import settings as token_settings
from tokens.names import is_presence

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

log = logging.getLogger("chat.runtime.connection")

PING_SECONDS: Final = 10
"""A client that does not answer a WebSocket ping until the next one is gone."""
DRAIN_SECONDS: Final = 1.0
MAX_DRAIN_SECONDS: Final = 5.0
CLOSES_PER_SECOND: Final = 4_000  # while that makes it no longer than MAX_DRAIN_SECONDS
DRAIN_STEP_SECONDS: Final = 0.01
KEEP_ALIVE_SHARE: Final = 0.95  # of the idle time at most, so that none idles out
BAR: Final = "bar"  # the notification, as it is on the wire
BAR_SECONDS: Final = 1.0
FULL_SECONDS: Final = 1.0
MAX_OPENING: Final = 128
MAX_CONNECTIONS: Final = 65_536  # in a process, where no setting says more
RESERVED: Final = 128  # descriptors: for the database, Redis, files, those that are turned away
RESERVED_SHARE: Final = 16  # one of so many, where that is more
MAX_REFUSED: Final = 100  # frames or calls over a budget, without a rest between them; then 4429

Person = tuple[str, str | None]
"""Address and uid: others behind the same address are not meant."""


def reserved_descriptors() -> int:
    """How many of this process's descriptors its connections leave free; half of few."""
    return _reserved(_descriptors())


def max_connections() -> int:
    """How many connections this process may have, as its descriptors allow."""
    descriptors = _descriptors()
    return min(settings.CONNECTIONS_MAX or MAX_CONNECTIONS, descriptors - _reserved(descriptors))


def _reserved(descriptors: int) -> int:
    return min(max(RESERVED, descriptors // RESERVED_SHARE), descriptors // 2)


def _descriptors() -> int:
    """Asked each time: somebody may change it while the process runs."""
    if resource is None:
        return sys.maxsize
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def seconds_left(claims: Claims) -> float:
    """Until what a token has opened ends with it."""
    if not settings.CLOSE_ON_TOKEN_EXPIRY:
        return inf
    return claims.exp + token_settings.TOKEN_LEEWAY_SECONDS - time.time()


@dataclass(slots=True, eq=False)
class LiveConnection:
    session: Session
    send_queue: SendQueue
    address: str
    ends_at: float  # this and the other times: by the event loop's clock, in seconds
    heard_at: float  # when its last frame came
    beat_at: float  # when its last heartbeat came
    opened_at: float = 0.0
    frames: int = 0  # that have come
    handling: bool = False  # whether a frame is being handled: those behind it wait
    secret_hash: str = ""  # of its secret, once it has called the HTTP API with it here
    joining: tuple[str, ...] = ()  # presence channels of which it is not known whether it is in
    due_at: float = 0.0  # when something is to be done for it, as far as is known
    ping_at: float = inf
    keep_alive_at: float = inf
    # Ends a subscription, behind the frame that is being handled; None: the connection has ended.
    end_subscription: Callable[[Subscription], None] | None = None
    # Held while a subscription begins or metadata changes: over HTTP both go on at the same time.
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def id(self) -> str:
        return self.session.connection_id

    def add(self, subscription: Subscription) -> None:
        """Its token may expire before anything else is due."""
        self.session.add(subscription)
        if subscription.claims is not None:
            self.due_at = 0.0

    def presence(self) -> tuple[str, ...]:
        """The presence channels in which it may be."""
        return tuple({*filter(is_presence, self.session.subscriptions), *self.joining})

    def members(self) -> dict[str, str]:
        """Presence channel -> as whom it may be there."""
        session = self.session
        return {name: session.sender(name).uid or "" for name in self.presence()}

    def channels(self) -> tuple[str, ...]:
        """All in which it may be."""
        return tuple({*self.session.subscriptions, *self.joining})


class Connections:
    """Those of this process, by id. `notify` reaches the other processes; `idle` and `keep_alive`
    are periods in seconds."""

    def __init__(self, notify: Callable[..., None], idle: float, keep_alive: float) -> None:
        self._notify = notify
        self._idle = idle
        self._keep_alive = min(keep_alive, idle * KEEP_ALIVE_SHARE)
        self._open: dict[str, LiveConnection] = {}
        # Held while a connection is opened. All that begin at once would each be refused after the
        # same wait, and what was done for them lost: 3,000 that came back together got nobody in.
        self.opening = asyncio.Semaphore(MAX_OPENING)
        self._networks: Counter[str] = Counter()
        self._barred: dict[Person | str, float] = {}  # persons, and networks without a free place

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[LiveConnection]:
        return list(self._open.values())

    def get(self, id: str) -> LiveConnection | None:
        return self._open.get(id)

    def add(self, connection: LiveConnection) -> None:
        connection.ping_at = connection.heard_at + PING_SECONDS
        if connection.session.claims.keep_alive:
            connection.keep_alive_at = connection.heard_at + self._keep_alive
        self._open[connection.id] = connection
        self._networks[network(connection.address)] += 1

    def remove(self, connection: LiveConnection) -> None:
        if self._open.pop(connection.id, None) is not None:
            self._leave(network(connection.address))

    def unsent(self) -> list[int]:
        """The bytes that wait for each client that reads slowly at this moment."""
        return [size for each in self._open.values() if (size := each.send_queue.unsent)]

    def close(self, id: str, code: int) -> None:
        """Does nothing where it is not one of this process."""
        if (connection := self._open.get(id)) is not None:
            connection.send_queue.close(code)

    async def close_all(self) -> None:
        """With 1012, spread evenly over a second or, where they are many, up to five: all who are
        closed at once would come back at once (protocol.md section 6)."""
        connections = list(self._open.values())
        count, closed = len(connections), 0
        seconds = min(count / 10, max(DRAIN_SECONDS, count / CLOSES_PER_SECOND), MAX_DRAIN_SECONDS)
        clock = asyncio.get_running_loop().time
        began = clock()
        while closed < count:  # by the clock: timers are late, and a pause for each would add up
            due = int(count * (clock() - began) / seconds) + 1
            for connection in connections[closed:due]:
                connection.send_queue.close(CloseCode.RESTARTING)
            closed = due
            await asyncio.sleep(DRAIN_STEP_SECONDS)

    # --- what it costs ----------------------------------------------------------------------

    def spend(self, id: str, units: float) -> None:
        """Raises RATE_LIMITED where a connection has not so much of its budget of work left; for
        one of this process its frames and its calls share it."""
        work = frames.work_of(id, settings.CLIENT_FRAMES_PER_SECOND)
        if not work.allows(time.monotonic(), units):
            if work.refused >= MAX_REFUSED:
                self.close(id, CloseCode.TOO_FAST)
            sentence = "This connection asks for too much work; this was not done."
            raise ProtocolError(ErrorCode.RATE_LIMITED, sentence)

    def owe(self, id: str, size: int) -> None:
        """So many bytes were sent for what the connection asked."""
        work = frames.work_of(id, settings.CLIENT_FRAMES_PER_SECOND)
        work.add(size / frames.UNIT_BYTES)

    # --- what is due ------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Closes those that read too slowly, and does what is due. To be called each second.

        What a connection sends and gets only leaves a time behind, which is read when the time it
        was due at before has come.
        """
        for connection in list(self._open.values()):
            connection.send_queue.check_stalled()
            if connection.due_at <= now:
                connection.due_at = self._do_due(connection, now)
        moment = time.monotonic()
        self._barred = {who: until for who, until in self._barred.items() if until > moment}

    def _do_due(self, connection: LiveConnection, now: float) -> float:
        """Returns when something is due next."""
        send_queue = connection.send_queue
        if connection.keep_alive_at <= now:
            send_queue.push(events.KEEP_ALIVE)
            send_queue.flush(now)  # else it would count as idle below
            connection.keep_alive_at = now + self._keep_alive
        if connection.ping_at <= now:  # the one before has not been answered: it is ending
            connection.ping_at = now + PING_SECONDS if send_queue.ping() else inf

        end, code = self._end(connection)
        # While one of its frames waits for the database, those behind it have not been heard yet.
        if end <= now and (connection.ends_at <= now or not connection.handling):
            send_queue.close(code)
            return inf
        expiry = self._end_expired(connection, now) if settings.CLOSE_ON_TOKEN_EXPIRY else inf
        return min(end, connection.keep_alive_at, connection.ping_at, expiry)

    def _end_expired(self, connection: LiveConnection, now: float) -> float:
        """Ends the subscriptions whose token has expired; returns when the next one does."""
        expiry = inf
        for subscription in connection.session.subscriptions.values():
            if subscription.claims is not None:
                left = seconds_left(subscription.claims)
                if left <= 0 and connection.end_subscription is not None:
                    connection.end_subscription(subscription)
                expiry = min(expiry, now + left)
        return expiry

    def _end(self, connection: LiveConnection) -> tuple[float, int]:
        """When it is to be closed if it stays as silent as it is, and with which code."""
        idle_at = max(connection.heard_at, connection.send_queue.sent_at) + self._idle
        end = min(connection.ends_at, idle_at), CloseCode.GOING_AWAY
        heartbeat = connection.session.claims.heartbeat_timeout
        if heartbeat is None:
            return end
        return min(end, (connection.beat_at + heartbeat, CloseCode.HEARTBEAT_MISSED))

    # --- who is let in ----------------------------------------------------------------------

    def has_place(self, address: str) -> bool:
        """Whether its network may have one more connection, as far as this process knows."""
        limit = settings.CONNECTIONS_PER_ADDRESS
        if not limit:
            return True
        place = network(address)
        return self._networks[place] < limit and not self._is_barred(place)

    def note_full(self, address: str) -> None:
        """Its network has as many as it may have in all processes: for a moment nobody looks."""
        self._barred[network(address)] = time.monotonic() + FULL_SECONDS

    @contextmanager
    def arriving(self, address: str) -> Iterator[None]:
        """Counts a handshake, too: else any number at once would be below the limit."""
        place = network(address)
        self._networks[place] += 1
        try:
            yield
        finally:
            self._leave(place)

    def _leave(self, place: str) -> None:
        self._networks[place] -= 1
        if not self._networks[place]:
            del self._networks[place]

    def bar(self, person: Person, why: str) -> None:
        """Whoever was closed for sending too fast or reading too slowly is refused for a moment, in
        all processes, so that its client slows down (protocol.md section 6)."""
        sentence = "A client at %s %s: it was closed, and is refused for %g s"
        log.warning(sentence, person[0], why, BAR_SECONDS)
        self.bar_here(*person)
        self._notify(BAR, *person)

    def bar_here(self, address: str, uid: str | None) -> None:
        self._barred[network(address), uid] = time.monotonic() + BAR_SECONDS

    def is_barred(self, address: str, uid: str | None) -> bool:
        return self._is_barred((network(address), uid))

    def _is_barred(self, who: Person | str) -> bool:
        return self._barred.get(who, 0.0) > time.monotonic()

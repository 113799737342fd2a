"""The broker through PostgreSQL alone: what happens in one process is sent to all others with
NOTIFY (design.md section 4, "Between processes").

Two sessions of a process, both on its event loop and in autocommit: one only listens, one only
sends, never in a transaction that writes. Every process hears everything. A process that knows it
is alone sends nothing.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from typing import Final

import psycopg
from django.conf import settings as django_settings
from django.db import Error
from msgspec import Raw, json
from psycopg_pool import ConnectionPool

from chat.cluster.messages import (
    CHECK,
    EVERYBODY,
    FLUSH_SECONDS,
    MAX_QUEUED_BYTES,
    PROBE,
    RETRY_SECONDS,
    SEND_SECONDS,
    Announcer,
    Entry,
    Inbox,
    Message,
    encode,
    first_of,
    message,
)
from chat.cluster.postgresql_session import Session, address
from chat.conf import settings
from chat.counts import counts
from chat.fanout.announcements import Announcement
from chat.fanout.broker import BrokerStatus, Handlers, StartTask
from chat.fanout.hub import Hub
from chat.store.databases import connection as database

log = logging.getLogger("chat.broker")

# A piece a row. Its transaction writes no row: so its COMMIT waits for no disk, and no replica.
NOTIFY: Final = "SELECT pg_notify({}, piece) FROM unnest(string_to_array({}, E'\\n')) AS piece"
PIECE_BYTES: Final = 7_900  # of the 7,999 that a notification may have; its head is shorter
TEXT: Final = json.Decoder(tuple[int, tuple[str, Raw]])  # of a message: version, checksum, body
MAX_MESSAGE_BYTES: Final = 2 * MAX_QUEUED_BYTES  # in a JSON string, a payload may double
LISTENER: Final = "chat listener"  # begins the application_name of sessions that listen
# The others who listen. Who stands still lets PostgreSQL's queue grow (8 GB, then every NOTIFY
# fails): such a session is ended.
OTHERS: Final = """
    SELECT count(*), count(CASE WHEN pg_notification_queue_usage() > $1
        AND wait_event = 'ClientWrite' AND usename = current_user
        THEN nullif(pg_terminate_backend(pid), false) END)
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE $2
    AND application_name <> $3
"""
PID: Final = "SELECT pg_backend_pid()"  # of a pooler's session; its client is told another one
# In the session of a pooler's that listens. Where this is another one, that is ended as soon as it
# is idle. The number of those that are left.
UNLISTEN: Final = """
    UNLISTEN *;
    SELECT count(CASE WHEN pid = pg_backend_pid() THEN NULL
        WHEN state <> 'idle' THEN 1 ELSE nullif(pg_terminate_backend(pid), true)::int END)
    FROM pg_stat_activity WHERE pid = {} AND usename = current_user
"""
QUEUE_USAGE: Final = 0.01
# A session whose client takes nothing is ended by its kernel after 10 s; one that hears nothing for
# long is not.
LISTENING: Final = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('tcp_user_timeout', '10000'), ('idle_session_timeout', '0')) AS v (name, value)
    JOIN pg_settings USING (name)
"""


# Kinds of entries, as they are on the wire.
PROBED: Final = json.encode([PROBE])  # in a payload its quotation marks would be escaped
HELLO: Final = "hello"  # with the node's id: it listens from now on
HERE: Final = "here"  # with two: the other one's, who is told, and the own

MEET_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.25  # where nothing is heard
SILENT: Final = (
    "LISTEN brings nothing, as behind a pooler in transaction mode: other processes are heard by"
    " reading the database, and not what is not stored; set BROKER_URL to PostgreSQL's own address."
)
FAILURES: Final = (psycopg.Error, OSError, TimeoutError)


@cache
def notified() -> str:
    """What notifications are for: two sites in one database hear themselves only, and nobody who
    does not know a site's key hears it."""
    key = django_settings.SECRET_KEY.encode()
    return f"chat_{blake2b(key, digest_size=8).hexdigest()}"


# --- messages in pieces -------------------------------------------------------------------------


def pieces(sent: Message) -> Iterator[str]:
    """A message as notifications: each says whose it is, which piece of how many it is, and so
    differs from the others, since of equal ones in a transaction one arrives."""
    text = b'[%d,["%b",%b]]' % (sent["v"], sent["checksum"].encode(), sent["body"])
    cuts = [0]
    while (at := cuts[-1] + PIECE_BYTES) < len(text):
        while text[at] & 0xC0 == 0x80:  # within a character
            at -= 1
        cuts.append(at)
    cuts.append(len(text))
    for number, (start, end) in enumerate(pairwise(cuts), 1):
        yield f"{sent['from']} {number}/{len(cuts) - 1} {text[start:end].decode()}"


class Joiner:
    """Pieces become messages again: those of one come in one transaction, without others between
    them."""

    def __init__(self) -> None:
        self._message = bytearray()

    def add(self, piece: bytes) -> Message | None:
        """Raises whatever it raises where a message cannot be read, or is too large."""
        sender, place, text = piece.split(b" ", 2)
        number, _, count = place.partition(b"/")
        if number == b"1" or len(self._message) + len(text) > MAX_MESSAGE_BYTES:
            self._message.clear()
        self._message += text
        if number != count:
            return None
        whole, self._message = self._message, bytearray()
        version, (made, body) = TEXT.decode(whole)
        node_id, text = sender.decode(), bytes(body)
        return {"type": "", "v": version, "from": node_id, "checksum": made, "body": text}


# --- the broker ---------------------------------------------------------------------------------


class PostgresqlBroker:
    """Keeps its sessions up from `start` to `stop`; nobody but `start` waits for them."""

    _inbox: Inbox
    _tasks: Sequence[asyncio.Task[None]] = ()

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._name = f"{LISTENER} {node_id}"
        self._own = f"{node_id} ".encode()  # what this process sends begins with it
        self._announcer = Announcer(node_id, self._send, json.encode, FAILURES)
        self._sender: Session | None = None
        self._joiner = Joiner()
        self._hears = False  # at this moment
        self._alone = False  # and knows it
        self._greeted = 0  # times that another process has said hello
        self._answers: set[str] = set()  # the nodes that have answered ours
        self._news = asyncio.Event()
        self._polls = False  # for LISTEN brings nothing, and the log says so
        self._connected = asyncio.Event()  # once
        self._away = False  # it could not be connected, and the log says so

    @property
    def status(self) -> BrokerStatus:
        if self._polls:
            return BrokerStatus.POLLING
        connected = self._hears and not self._announcer.has_lost
        return BrokerStatus.CONNECTED if connected else BrokerStatus.DISCONNECTED

    @property
    def backlog(self) -> int:
        return self._announcer.backlog

    @property
    def lag(self) -> float:
        return self._inbox.lag

    # --- what goes out ----------------------------------------------------------------------

    def announce(self, announcement: Announcement) -> None:
        if not self._alone:
            entry = encode(announcement, bytes.decode)
            self._announcer.put(EVERYBODY, entry, announcement.size)

    def notify(self, kind: str, *fields: object) -> None:
        """Calls the handler of this kind in every other process; never waits."""
        if not self._alone:
            self._announcer.put(EVERYBODY, [kind, *fields])

    async def _send(self, messages: Sequence[tuple[str, Message]]) -> None:
        if self._sender is None or self._sender.lost.done():
            self._sender = await Session.open("chat sender")
        try:
            for _, sent in messages:
                await _notify(self._sender, sent)
        except BaseException:
            self._sender.close()
            raise

    # --- what comes in ----------------------------------------------------------------------

    def _receive(self, piece: bytes) -> None:
        try:
            if piece.startswith(self._own):
                self._inbox.returned += 1
                if self._inbox.probed_at is not None and PROBED in piece:
                    self._inbox.note_probe()
                self._news.set()
            elif (received := self._joiner.add(piece)) is not None:
                self._inbox.take(received)
        except Exception:  # the outermost edge: anybody may NOTIFY
            self._inbox.drop()

    async def subscribe(self, channel: str) -> None:
        """Every process hears all channels; while this one hears nothing, heads are checked."""

    def unsubscribe(self, channel: str) -> None: ...

    # --- who else is there ------------------------------------------------------------------

    async def _meet(self, session: Session) -> bool:
        """Says hello, and returns when all others have answered, or have not in MEET_SECONDS; False
        where it does not hear itself."""
        returned = self._inbox.returned
        self._answers.clear()
        async with asyncio.timeout(MEET_SECONDS):
            await self._say_hello()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MEET_SECONDS):
                others = await self._look_around(session)
                while self._inbox.returned == returned or len(self._answers) < others:
                    self._news.clear()
                    await self._news.wait()
        return self._inbox.returned > returned

    async def _say_hello(self) -> None:
        """PostgreSQL has it when this returns, however much waits to be announced."""
        session = await Session.open("chat sender")
        try:
            hello = json.encode([[HELLO, self._node_id]])
            await _notify(session, message(hello, self._node_id))
        finally:
            session.close()

    def _greet(self, node_id: str) -> None:
        """Another process listens from now on. What this one kept for itself while it was alone,
        the other one finds in the database once it has the answer; and this one what it may have
        missed of the other."""
        self._greeted += 1
        self._have_company()
        self._answers.add(node_id)  # it may have begun to listen after this one's hello
        self._news.set()
        self._announcer.put(EVERYBODY, [HERE, node_id, self._node_id])
        self._inbox.check()

    def _have_company(self) -> None:
        """It is not alone any more, if it was: nobody has heard of what it did meanwhile."""
        if self._alone:
            self._alone = False
            self._announcer.put(EVERYBODY, [CHECK])

    def _is_here(self, asked: str, node_id: str) -> None:
        if asked == self._node_id:
            self._answers.add(node_id)
            self._news.set()
            self._inbox.check()

    async def _look_around(self, session: Session) -> int:
        """How many others listen, as far as that can be known."""
        greeted = self._greeted
        try:
            others, ended = await self._count_others(session)
        except psycopg.Error:
            return 0
        if ended:
            log.error("%d sessions were ended that did not take what they listened for", ended)
        if others:
            self._have_company()
        elif greeted == self._greeted:
            self._alone = True
        return others

    async def _count_others(self, session: Session) -> list[int]:
        """And how many of them were ended."""
        return await session.numbers(OTHERS, QUEUE_USAGE, f"{LISTENER} %", self._name)

    # --- life -------------------------------------------------------------------------------

    async def start(
        self,
        hub: Hub,
        check: Callable[[], object],
        handlers: Handlers,
        start_task: StartTask,
    ) -> None:
        """Returns when it is connected for the first time, or cannot be: whoever subscribes before
        would miss what others announce."""
        own: Handlers = {HELLO: self._greet, HERE: self._is_here, PROBE: lambda: None}
        self._inbox = Inbox(self._node_id, hub, check, {**handlers, **own}, json.decode)
        self._tasks = [
            start_task("announcer", self._announcer.run),
            start_task("link to other processes", self._run),
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), 2 * MEET_SECONDS)

    async def stop(self) -> None:
        """Disconnects once what was announced has been sent."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._announcer.all_sent.wait(), FLUSH_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sender is not None:
            self._sender.close()

    async def _run(self) -> None:
        while not self._polls:
            try:
                await self._listen()
            except FAILURES as error:
                if self._hears:
                    counts.broker_failures += 1
                    log.warning("The connection through PostgreSQL begins anew: %s", error)
                elif not self._away:
                    self._away = True
                    log.warning("Other processes are not heard: %s", str(error) or "no answer")
            finally:
                self._hears = self._alone = False
            await asyncio.sleep(RETRY_SECONDS)
        while True:
            self._inbox.check()
            await asyncio.sleep(POLL_SECONDS)

    async def _listen(self) -> None:
        """One session that listens, from its beginning to its end."""
        async with asyncio.timeout(MEET_SECONDS):
            session = await Session.open(self._name, self._receive)
        try:
            async with asyncio.timeout(MEET_SECONDS):
                [pid] = await session.numbers(f'LISTEN "{notified()}"; {PID}')
            await first_of(self._attend(session, pid), session.lost)
        finally:
            session.close()

    async def _attend(self, session: Session, pid: int) -> None:
        if not await self._meet(session):
            if pid == session.pid:
                raise ConnectionError("what this process sends itself does not come back")
            await self._give_up(session, pid)
            return
        async with asyncio.timeout(MEET_SECONDS):
            await session.execute(LISTENING)
        log.info("Connected to the other processes through PostgreSQL")
        self._hears, self._away = True, False
        self._connected.set()
        self._inbox.check()
        await first_of(self._announcer.probe(EVERYBODY, self._inbox), self._keep_looking(session))

    async def _keep_looking(self, session: Session) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look_around(session)

    async def _give_up(self, session: Session, pid: int) -> None:
        """It polls from now on. What listens is a session of a pooler's, which others use."""
        log.warning(SILENT)
        self._polls = True
        self._connected.set()
        left = 1
        async with asyncio.timeout(MEET_SECONDS):
            while left:
                [left] = await session.numbers(UNLISTEN.format(pid))
                await asyncio.sleep(left * POLL_SECONDS)


async def _notify(session: Session, sent: Message) -> None:
    await session.execute(NOTIFY.format("$1", "$2"), notified(), "\n".join(pieces(sent)))


# --- from a process that serves nobody ----------------------------------------------------------


def announce_from_outside(announcements: Sequence[Announcement]) -> None:
    """From a task or a command to the servers, after its commit. Where this fails, they find by
    themselves what is stored."""
    _send_from_outside([encode(item, bytes.decode) for item in announcements])


def notify_from_outside(kind: str, *fields: object) -> None:
    """Calls the handler of this kind in every server, as announce_from_outside."""
    _send_from_outside([[kind, *fields]])


def _send_from_outside(entries: list[Entry]) -> None:
    values = [notified(), "\n".join(pieces(message(json.encode(entries))))]
    try:
        if database.get_autocommit():  # else it would be sent with what its caller writes next
            with _pool().connection() if settings.BROKER_URL else database.cursor() as session:
                session.execute(NOTIFY.format("%s", "%s"), values)
    except (Error, *FAILURES) as error:
        log.warning("Servers were not notified of what was published: %r", error)


_pools: dict[int, ConnectionPool] = {}  # by process: after a fork, the parent has its threads


def _pool() -> ConnectionPool:
    """Of one connection to BROKER_URL, a new one where that was closed meanwhile."""
    process = os.getpid()
    if process not in _pools:
        new = ConnectionPool(
            address("chat task"),
            min_size=0,
            max_size=1,
            timeout=SEND_SECONDS,
            open=False,
            check=ConnectionPool.check_connection,
            kwargs={"autocommit": True},
        )
        _pools.setdefault(process, new).open()
    return _pools[process]

"""Work that a process repeats while it serves: look, do what is due, sleep."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from datetime import timedelta
from functools import partial
from itertools import batched
from typing import Final

from django.db import InterfaceError, OperationalError, ProgrammingError
from django.db.models import Case, Q, When
from django.db.models.functions import Now

from chat.counts import counts
from chat.fanout.broker import BrokerStatus
from chat.fanout.hub import Hub
from chat.models import Channel, Schedule, StorageEntry
from chat.protocol.errors import ProtocolError
from chat.protocol.restrictions import IsBanned, nobody_is_banned
from chat.store.databases import DatabaseUnavailable, connection
from chat.store.operations.messages import PublishMessage
from chat.store.operations.schedules import ParkSchedule, RunSchedule
from chat.store.operations.storage import ReportExpiries, SetStorage
from chat.store.operations.work import UnreadableWork, decode
from chat.store.outbox import TakeEntries, waiting_channels
from chat.store.reads import read
from chat.store.reports import listening, scheduled
from chat.store.writer import MAX_BATCH, Writer

log = logging.getLogger("chat.recurring")

RETRY_SECONDS: Final = 1.0
LATE_SECONDS: Final = 0.25
BANNED: Final = "Who scheduled it is banned."
LOOK_SECONDS: Final = 0.75  # so late, at most, is what another process schedules just before
# Of the database, or of one that another release has migrated; not of the work.
RETRIED: Final = (OperationalError, InterfaceError, ProgrammingError)
EXPIRY_SECONDS: Final = 1.0
EXPIRIES_AT_ONCE: Final = 200
CHECK_SECONDS: Final = 2.0
CONNECTED_CHECK_SECONDS: Final = 25.0  # finds what the broker loses at the tail of a channel
OUTBOX_SECONDS: Final = 1.0
CHANNELS_AT_ONCE: Final = 100  # of the outbox, in one look
MAX_TAKING: Final = 10_000  # channels: each of a writer's wait, those that are locked for 5 s
MAX_NAMES: Final = 10_000  # in one query; databases take some 32 thousand parameters


async def repeat(
    name: str,
    do: Callable[[], Awaitable[float | None]],
    *,
    first_after: float = 0.0,
    sooner: asyncio.Event | None = None,
    retry_seconds: float = RETRY_SECONDS,
) -> None:
    """Calls `do` again after the seconds that it returns, or once `sooner` is set; None: only then.
    Where the database does not answer, after `retry_seconds`."""
    sooner = sooner or asyncio.Event()
    await asyncio.sleep(first_after)
    while True:
        sooner.clear()
        try:
            pause = await do()
        except ProtocolError as error:
            log.warning("%s failed, next try in %g s: %s", name, retry_seconds, error.in_full)
            await asyncio.sleep(retry_seconds)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sooner.wait(), pause)


# --- what other processes committed -------------------------------------------------------------


async def check_heads(hub: Hub) -> float | None:
    """Finds what other processes committed without an announcement that arrived here (P3): reads
    the numbers of the channels with subscribers here. Returns the seconds until the next check;
    None: once another process has committed something, which SQLite tells. Raises
    SERVICE_UNAVAILABLE."""
    for channels in batched(hub.channels(), MAX_NAMES):
        hub.check(await read(heads, channels))
    status = hub.broker.status
    if status is BrokerStatus.CONNECTED:
        return CONNECTED_CHECK_SECONDS
    if status is BrokerStatus.SINGLE_PROCESS and connection.vendor == "sqlite":
        return None
    return CHECK_SECONDS


def heads(channels: Sequence[str]) -> list[tuple[str, int]]:
    """The channels that hold something durable, each with its number."""
    return list(Channel.objects.filter(name__in=channels).values_list("name", "number"))


# --- what callers' transactions wrote ----------------------------------------------------------


async def take_from_outbox(writer: Writer, filled: asyncio.Event) -> None:
    """Does what waits in the outbox: at once when `filled` is set, else within OUTBOX_SECONDS. A
    channel that somebody else has locked holds up no other."""
    taking: set[str] = set()

    def done(channel: str, outcome: ProtocolError | None) -> None:
        taking.discard(channel)
        if outcome is None:  # more may have come meanwhile
            filled.set()

    async def look() -> float:
        most = min(CHANNELS_AT_ONCE, MAX_TAKING - len(taking))
        channels = await read(waiting_channels, frozenset(taking), most)
        for channel in channels:
            writer.put(TakeEntries(channel), partial(done, channel))
            taking.add(channel)
        return OUTBOX_SECONDS if len(channels) < CHANNELS_AT_ONCE else OUTBOX_SECONDS / 20

    await repeat("Looking into the outbox", look, sooner=filled)


# --- what was scheduled -------------------------------------------------------------------------


async def run_schedules(writer: Writer, is_banned: IsBanned = nobody_is_banned) -> None:
    """Does what was scheduled at its time (protocol.md section 13), beginning with what became due
    while no server ran.

    Every process looks, so that any may end; the database lets one of them do it. A look finds what
    becomes due before the next one; what this process stores wakes it. Reads, and writes only where
    something is due.
    """
    sooner, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake(seconds: float, **kwargs: object) -> None:
        """In the thread that committed something that is due then."""
        if seconds < 2 * LOOK_SECONDS:  # else a look finds it before, even one that takes long
            with contextlib.suppress(RuntimeError):  # this loop has ended meanwhile
                loop.call_soon_threadsafe(loop.call_later, seconds, sooner.set)

    scheduled.connect(wake)
    try:
        due = partial(run_due, writer, set(), is_banned)
        await repeat("Running schedules", due, sooner=sooner)
    finally:
        scheduled.disconnect(wake)


async def run_due(writer: Writer, late: set[str], is_banned: IsBanned = nobody_is_banned) -> float:
    """Does what is due, the longest due first, up to MAX_BATCH at once, and parks what cannot be
    done. Returns the seconds until there is more to do, as far as is known: LOOK_SECONDS at most.
    Passes over channels that are `late`, and adds those where it takes longer than LATE_SECONDS.

    What somebody banned has scheduled is parked. Raises SERVICE_UNAVAILABLE where the database did
    not take all of them.
    """
    due, unreadable, pause = await read(_look, frozenset(late))
    banned = [run for run in due if _is_banned(run, is_banned)]
    for id, problem in [*unreadable, *((run.id, BANNED) for run in banned)]:
        await _park(writer, id, problem)
    runs = [(run.locks()[0], _run(writer, run)) for run in due if run not in banned]
    await _in_time(runs, late)
    return pause


def _is_banned(run: RunSchedule, is_banned: IsBanned) -> bool:
    """Whether who scheduled it may not write in its channel any more (section 19)."""
    work = run.work
    by = work.uid if isinstance(work, PublishMessage | SetStorage) else None
    return by is not None and is_banned(by, run.locks()[0])


async def _in_time(
    writes: Iterable[tuple[str, Coroutine[object, object, None]]], late: set[str]
) -> None:
    """Waits for these writes, each to a channel, but for those that take longer than LATE_SECONDS:
    somebody else has locked the channel, maybe; until they are done it is `late`."""
    tasks = {asyncio.create_task(write): channel for channel, write in writes}
    done, waiting = await asyncio.wait(tasks, timeout=LATE_SECONDS) if tasks else (set(), set())
    for task in waiting:
        late.add(tasks[task])
        task.add_done_callback(partial(_done_late, late, tasks[task]))
    errors = [error for task in done if (error := task.exception()) is not None]
    if errors:  # all have been asked for: who is not, asyncio logs with a traceback
        raise errors[0]


async def _run(writer: Writer, run: RunSchedule) -> None:
    try:
        await writer.submit(run)
    except ProtocolError as error:
        cause = None if isinstance(error, DatabaseUnavailable) else error.__cause__
        if cause is None or isinstance(cause, RETRIED):
            raise
        await _park(writer, run.id, f"{type(cause).__name__}: {cause}")


def _done_late(late: set[str], channel: str, task: "asyncio.Task[None]") -> None:
    """The next look finds what was refused."""
    late.discard(channel)
    if not task.cancelled() and isinstance(error := task.exception(), ProtocolError):
        log.warning("What is due on %s waits: %s", channel, error.in_full)


def _look(late: Collection[str]) -> tuple[list[RunSchedule], list[tuple[str, str]], float]:
    """What is due; what of it cannot be read, with the reasons; the seconds until there is more."""
    soon = Q(parked_at=None, due_at__lte=Now() + timedelta(seconds=LOOK_SECONDS))
    rows = Schedule.objects.filter(soon).order_by("due_at", "created_at", "id")
    rows = rows.exclude(channel__name__in=late) if late else rows
    rows = rows.annotate(now=Now(), due=Case(When(due_at__lte=Now(), then="work")))
    found = list(rows.values_list("id", "due_at", "now", "due")[:MAX_BATCH])
    due: list[RunSchedule] = []
    unreadable: list[tuple[str, str]] = []
    for id, at, now, work in found:
        if work is None:
            return due, unreadable, (at - now).total_seconds()
        try:
            due.append(RunSchedule(id, decode(work)))
        except UnreadableWork as error:
            unreadable.append((id, str(error)))
    return due, unreadable, 0.0 if len(found) == MAX_BATCH else LOOK_SECONDS


async def _park(writer: Writer, id: str, problem: str) -> None:
    if await writer.submit(ParkSchedule(id, problem)):
        counts.parked["scheduled"] += 1
        log.error("Schedule %s cannot be done and is parked: %s", id, problem)


# --- storage entries that expire ----------------------------------------------------------------


async def report_expiries(writer: Writer, late: set[str]) -> float:
    """Reports storage entries that have expired, EXPIRIES_AT_ONCE at most, as backend events
    (protocol.md section 16); returns the seconds until there may be more.

    Every process looks, and the database lets one of them report each entry. Where nobody listens,
    nobody looks. Passes over channels that are `late`, as `run_due` does. Raises
    SERVICE_UNAVAILABLE.
    """
    rows = StorageEntry.objects.filter(reports_expiry=True, expires_at__lte=Now())
    rows = rows.exclude(channel__name__in=frozenset(late)) if late else rows
    first = rows.order_by("expires_at").values_list("id", "channel__name")[:EXPIRIES_AT_ONCE]
    found = await read(list, first) if listening() else []
    entries: dict[str, list[int]] = defaultdict(list)
    for id, channel in found:
        entries[channel].append(id)
    # Each alone: another may be locked by somebody else.
    reports = ((name, ReportExpiries(ids, (name,))) for name, ids in entries.items())
    await _in_time(((name, writer.submit(report)) for name, report in reports), late)
    return 0.0 if len(found) == EXPIRIES_AT_ONCE else EXPIRY_SECONDS

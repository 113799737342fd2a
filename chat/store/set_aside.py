"""Operations on rows that somebody else holds locked (an admin action, a migration, psql) wait
here, and hold up no others: in a thread with a connection of its own, in PostgreSQL's own queue for
the lock, WAIT_SECONDS at most.

What comes for a channel that is busy waits behind what is here, and so does what comes from a
caller of whom something is here. Other channels that an operation here touches wait for nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from chat.protocol.errors import ProtocolError
from chat.store.databases import DatabaseUnavailable, connection, limit_statements
from chat.store.transaction import Operation

WAIT_SECONDS: Final = 5.0
LOCK_SECONDS: Final = 0.25  # in the queue for one lock; then the next one has its turn
STOP_SECONDS: Final = 1.0
MAX_BYTES: Final = 16 * 1024 * 1024  # then others would be refused who need no such row
AT_ONCE: Final = 500
MAX_NAMED: Final = 10
LOCKED: Final = "Somebody else holds this locked; try again."
MAX_REMEMBERED: Final = 1000  # names of which nothing is here

log = logging.getLogger("chat.writer")

type OnDone[Result] = Callable[[Result | ProtocolError], object]  # on the event loop
Pending = tuple[Operation[Any], OnDone[Any], int]  # the last is its size, in bytes
Settle = Callable[[list[Pending], Sequence[object]], object]
Commit = Callable[[Sequence[Operation[Any]]], list[object]]


class Later:
    """The outcome of an operation on a channel of which more outbox entries go first."""


LATER: Final[object] = Later()


class Busy(DatabaseUnavailable):
    """Somebody else holds the rows of these channels locked; of none: any other row."""

    def __init__(self, names: Collection[str] = ()) -> None:
        super().__init__(LOCKED)
        self.names = frozenset(names)


@dataclass(slots=True, eq=False)
class Waiting:
    pending: Pending
    until: float
    names: frozenset[str] = frozenset()  # the channels it waits for; none: it is not known what
    keys: set[str] = field(default_factory=set)  # what comes with one of these comes behind it
    tries: int = 0

    def waits_as(self, other: "Waiting") -> bool:
        """Whether they are tried together: where it is not known what they wait for, only once."""
        return self.names == other.names and (bool(self.names) or self.tries == other.tries == 0)


def caller_of(operation: Operation[object]) -> str:
    """Of whom the operations keep their order: a connection or, where it opens one, a node."""
    for name in ("connection_id", "origin", "node_id"):
        if caller := getattr(operation, name, None):
            return f"\0{caller}"  # no channel's name
    return ""


class SetAside:
    """`commit` gives Busy for what is to wait longer; `find_busy` which of these channels are
    locked, None where it cannot say; `settle` is called with what is done, or refused."""

    def __init__(
        self,
        commit: Commit,
        find_busy: Callable[[Collection[str]], set[str] | None],
        settle: Settle,
        on_crash: Callable[[Exception], object],
    ) -> None:
        self._commit, self._find_busy = commit, find_busy
        self._settle, self._on_crash = settle, on_crash
        self._waiting: list[Waiting] = []
        self._bytes = 0
        self._tried: list[Waiting] = []
        # How many wait with each key; 0: its lock was not to be had the last time.
        self._busy: dict[str, int] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    # --- in the writer's thread -------------------------------------------------------------

    def divert(self, batch: list[Pending]) -> list[Pending]:
        """Keeps what must wait behind what is here, and gives the others."""
        if not self._busy:
            return batch
        free: list[Pending] = []
        with self._changed:
            for pending in batch:
                names = [name for name in pending[0].locks() if name in self._busy]
                if names or caller_of(pending[0]) in self._busy:
                    self._add(pending, names)
                else:
                    free.append(pending)
        return free

    def keep(
        self, batch: list[Pending], outcomes: list[object]
    ) -> tuple[list[Pending], list[object]]:
        """Keeps those whose outcome is Busy, beside them those that are LATER, for one caller's may
        be both; gives the others."""
        done: list[tuple[Pending, object]] = []
        with self._changed:
            for pending, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Busy):
                    self._add(pending, outcome.names)
                elif outcome is LATER:
                    self._add(pending, ())
                else:
                    done.append((pending, outcome))
        return [pending for pending, _ in done], [outcome for _, outcome in done]

    def _add(self, pending: Pending, names: Collection[str]) -> None:
        if self._bytes > MAX_BYTES:
            self._settle([pending], [Busy()])
            return
        self._bytes += pending[2]
        waiting = Waiting(pending, time.monotonic() + WAIT_SECONDS)
        self._hold(waiting, names)
        self._waiting.append(waiting)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="set aside", daemon=True)
            self._thread.start()
        self._changed.notify()

    def stop(self) -> None:
        """Returns when all are done or refused: within STOP_SECONDS."""
        with self._changed:
            self._stopping = True
            soon = time.monotonic() + STOP_SECONDS
            for each in self._waiting:
                each.until = min(each.until, soon)
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    # --- in its own thread ------------------------------------------------------------------

    def _run(self) -> None:
        limit_statements(lock_seconds=LOCK_SECONDS)
        try:
            while self._step():
                pass
        finally:
            connection.close()

    def _step(self) -> bool:
        """Whether it goes on."""
        try:
            if waiting := self._wait():
                self._try_in_turn(waiting)
            return bool(waiting)
        except Exception as error:  # the outermost edge
            self._refuse(self._waiting, partial(DatabaseUnavailable, cause=error))
            self._on_crash(error)
            time.sleep(LOCK_SECONDS)
            return True

    def _wait(self) -> list[Waiting]:
        """What waits; nothing: the end."""
        if not self._waiting:
            connection.close()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            return list(self._waiting)

    def _try_in_turn(self, waiting: list[Waiting]) -> None:
        """Waits for one lock, of those that were tried least; then does what is free by now."""
        first = min(_heads(waiting), key=lambda each: each.tries)
        self._try(_in_order(waiting, lambda each: each is first or each.waits_as(first)))
        tried = set(self._tried)
        others = {each for each in self._waiting if each.names and each not in tried}
        names = {name for each in others for name in each.names}
        busy = self._find_busy(names) if names else None
        if busy is not None:
            free = {each for each in others if each.names.isdisjoint(busy)}
            self._try(_in_order(list(self._waiting), free.__contains__))
        now = time.monotonic()
        if old := [each for each in self._waiting if each.until <= now]:
            found = sorted({name for each in old for name in each.names})[:MAX_NAMED]
            where = f"the channels {found}" if found else "a table, or rows of no channel"
            log.warning("Refused %d operations: somebody else has locked %s", len(old), where)
            self._refuse(old, Busy)
        self._tried = []

    def _try(self, waiting: list[Waiting]) -> None:
        self._tried = waiting
        outcomes = self._commit([each.pending[0] for each in waiting]) if waiting else []
        done: dict[Waiting, object] = {}
        with self._changed:
            for each, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, Busy):
                    each.tries += 1
                    self._hold(each, outcome.names)
                elif outcome is not LATER:
                    done[each] = outcome
        self._finish(done)
        if any(isinstance(outcome, DatabaseUnavailable) for outcome in done.values()):
            self._refuse(self._waiting)

    def refuse_others(self) -> bool:
        """Refuses what waits, but for what is being tried, while the database is unavailable; gives
        whether this goes on."""
        tried = set(self._tried)
        self._refuse([each for each in self._waiting if each not in tried])
        return not self._stopping

    def _refuse(
        self, waiting: Iterable[Waiting], refusal: Callable[[], object] = DatabaseUnavailable
    ) -> None:
        self._finish({each: refusal() for each in waiting}, busy=True)

    def _finish(self, done: dict[Waiting, object], *, busy: bool = False) -> None:
        """Only then does the writer take what comes with these keys, so it is announced later. What
        they waited for is remembered where it is still `busy`."""
        if not done:
            return
        self._settle([each.pending for each in done], list(done.values()))
        with self._changed:
            self._waiting = [each for each in self._waiting if each not in done]
            self._bytes -= sum(each.pending[2] for each in done)
            for each in done:
                kept = each.names or (each.keys if each.tries else ()) if busy else ()
                self._release(each.keys, kept)
            if len(self._busy) > MAX_REMEMBERED:
                self._busy = {key: count for key, count in self._busy.items() if count}

    def _hold(self, waiting: Waiting, names: Collection[str]) -> None:
        """It waits for these channels; for none: it is not known what."""
        keys = {*names, caller_of(waiting.pending[0])} - {""}
        for key in keys - waiting.keys:
            self._busy[key] = self._busy.get(key, 0) + 1
        self._release(waiting.keys - keys)
        waiting.names, waiting.keys = frozenset(names), keys

    def _release(self, keys: Iterable[str], kept: Collection[str] = ()) -> None:
        for key in keys:
            self._busy[key] -= 1
            if not self._busy[key] and key not in kept:
                del self._busy[key]


def _heads(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Those that come behind no other."""
    seen: set[str] = set()
    heads: list[Waiting] = []
    for each in waiting:
        if seen.isdisjoint(each.keys):
            heads.append(each)
        seen |= each.keys
    return heads


def _in_order(waiting: Iterable[Waiting], wanted: Callable[[Waiting], bool]) -> list[Waiting]:
    """The first of those wanted, but for what comes behind one that is not."""
    passed: set[str] = set()
    taken: list[Waiting] = []
    for each in waiting:
        if wanted(each) and passed.isdisjoint(each.keys):
            taken.append(each)
        else:
            passed |= each.keys
    return taken[:AT_ONCE]

"""Group commit: whatever waits becomes one transaction, and is announced once it is committed.

Every write of the running server goes through here (design.md section 4, "Store, then
announce"). While one batch commits the next one gathers: latency is one commit, throughput is
many operations a commit. It never lingers for more.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.db import connection

from chat.fanout.announcements import Announcement
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.commit import Away, Outcome, commit
from chat.store.operations import Operation
from chat.store.outside_commits import POLL_SECONDS, OutsideCommits
from chat.store.postgres import be_impatient

MAX_BATCH: Final = 500

Told = Callable[[Any, Outcome], object]
"""Called on the event loop once the operation is committed and announced, or was refused."""
Pending = tuple[Operation, Told]


class Writer:
    """A queue, and the thread that empties it into the database.

    `announce` is called on the event loop for all that was committed, in the order of the commit,
    before anyone who waits for an operation learns of it. `notice` is called there when, on
    SQLite, somebody else has committed something.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        announce: Callable[[Announcement], None],
        notice: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._announce = announce
        self._outside = OutsideCommits(lambda: loop.call_soon_threadsafe(notice))
        self._queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def submit(self, operation: Operation) -> Any:
        """What the operation gives, once it is committed and announced.

        Raises the ProtocolError with which it was refused: SERVICE_UNAVAILABLE where the database
        did not take it, or the writer has been stopped. Being cancelled does not undo it.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self.put(operation, partial(_answer, future))
        return await future

    def put(self, operation: Operation, told: Told) -> None:
        """As `submit`, for whoever puts several before the first is committed: they are committed
        in the order in which they were put. Raises ProtocolError where the writer has been
        stopped; all else comes to `told`."""
        if self._ending:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "The server is shutting down.")
        self._queue.put((operation, told))

    async def stop(self) -> None:
        """Returns when all that was submitted before is committed and the thread has ended."""
        self._ending = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        be_impatient()
        try:
            while batch := self._gather():
                outcomes = commit([operation for operation, _ in batch], self._refuse_others)
                self._loop.call_soon_threadsafe(self._settle, batch, outcomes)
                if isinstance(outcomes[-1], Away):
                    self._refuse_others()
        finally:
            connection.close()

    def _refuse_others(self) -> bool:
        """All that waits behind what the database did not take: each batch would wait as long as
        this one did. Tells whether the writer goes on."""
        refused: list[Pending] = []
        with contextlib.suppress(queue.Empty):
            while (pending := self._queue.get_nowait()) is not None:
                refused.append(pending)
            self._queue.put(None)
        if refused:
            self._loop.call_soon_threadsafe(self._settle, refused, [Away() for _ in refused])
        return not self._ending

    def _gather(self) -> list[Pending]:
        """All that waits, up to MAX_BATCH; waits for the first. Empty: it is time to end."""
        first = self._first()
        if first is None:
            return []
        batch = [first]
        while len(batch) < MAX_BATCH and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                self._queue.put(None)
                break
            batch.append(following)
        return batch

    def _first(self) -> Pending | None:
        """Looks, while it waits, for what others have committed."""
        if connection.vendor != "sqlite":
            return self._queue.get()
        while True:
            self._outside.look()
            with contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=POLL_SECONDS)

    def _settle(self, batch: list[Pending], outcomes: list[Outcome]) -> None:
        for (operation, told), outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, ProtocolError):
                for item in operation.announced:
                    self._announce(item)
            told(operation, outcome)


def _answer(future: "asyncio.Future[Any]", operation: Operation, outcome: Outcome) -> None:
    if future.done():  # its caller is gone
        return
    if isinstance(outcome, ProtocolError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)

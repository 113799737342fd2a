"""The background tasks of this process, under one supervisor: a task that fails is logged and
starts again, later each time; one that keeps failing ends the process (promises P7, P8)."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from math import inf
from typing import Final

from chat.counts import counts

log = logging.getLogger("chat.background")

RETRY_SECONDS: Final = 0.5  # twice as long after each failure within FAILURES_SECONDS
MAX_FAILURES: Final = 5  # of a task, within FAILURES_SECONDS
FAILURES_SECONDS: Final = 60.0

Make = Callable[[], Coroutine[object, object, None]]
"""Makes what a task runs; to be called again where that has failed."""


class BackgroundTasks:
    """`on_failure` is called once, when a task has failed MAX_FAILURES times."""

    def __init__(self, on_failure: Callable[[], object]) -> None:
        self._on_failure = on_failure
        self._failures: dict[str, deque[float]] = {}  # when each failed, by the loop's clock
        self._next: dict[str, float] = {}  # when it starts again
        self._failed = False

    def start(self, name: str, make: Make) -> asyncio.Task[None]:
        """Runs `make()` until the task is cancelled; what ends before has failed. The task itself
        raises nothing."""
        counts.task_failures[name] += 0  # so that it is known before the first
        return asyncio.create_task(self._supervise(name, make), name=name)

    def problems(self) -> list[str]:
        """A sentence for each task that does not run at this moment."""
        now = asyncio.get_running_loop().time()
        sentences = []
        for name, at in self._next.items():
            if at > now:
                then = "it failed too often" if at == inf else f"next try in {at - now:.0f} s"
                sentences.append(f"The {name} does not run; {then}.")
        return sentences

    def states(self) -> list[tuple[str, int, float | None]]:
        """Each task by its name, with how often it has failed, and the seconds until it starts
        again; 0: it runs, None: it failed too often."""
        now = asyncio.get_running_loop().time()
        states: list[tuple[str, int, float | None]] = []
        for name, failures in counts.task_failures.items():
            pause = max(0.0, self._next.get(name, 0.0) - now)
            states.append((name, failures, None if pause == inf else pause))
        return states

    def note_failure(self, name: str) -> float:
        """What `name` is has failed, and that is logged. Gives the seconds until it is to start
        again."""
        now = asyncio.get_running_loop().time()
        counts.task_failures[name] += 1
        failures = self._failures.setdefault(name, deque(maxlen=MAX_FAILURES))
        failures.append(now)
        recent = sum(now - at < FAILURES_SECONDS for at in failures)
        pause = RETRY_SECONDS * 2 ** (recent - 1) if recent < MAX_FAILURES else inf
        self._next[name] = now + pause
        if pause == inf:
            log.critical("The %s failed %d times: this process is to end", name, MAX_FAILURES)
            if not self._failed:
                self._failed = True
                self._on_failure()
        return pause

    async def _supervise(self, name: str, make: Make) -> None:
        while await _fails(name, make):
            pause = self.note_failure(name)
            if pause == inf:
                return
            await asyncio.sleep(pause)
            log.warning("Background task restarted", {"task": name, "paused_seconds": pause})


async def _fails(name: str, make: Make) -> bool:
    """Runs it to its end; False: its task was cancelled."""
    task = asyncio.current_task()
    try:
        await make()
        log.error("The %s ended", name)
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        log.exception("The %s was cancelled within itself", name)
    except Exception:
        log.exception("The %s failed", name)
    return task is not None and not task.cancelling()

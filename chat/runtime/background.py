"""The background tasks of this process, under one supervisor: a task that fails is logged and
starts again, later each time; one that keeps failing ends the process (promises P7, P8)."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from math import inf
from typing import Final

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
        self._failed = False
        self._waiting: dict[str, float] = {}  # tasks that do not run -> when they start again

    def start(self, name: str, make: Make) -> asyncio.Task[None]:
        """Runs `make()` until the task is cancelled; what ends before has failed. The task itself
        raises nothing."""
        return asyncio.create_task(self._supervise(name, make), name=name)

    def problems(self) -> list[str]:
        """A sentence for each task that does not run at this moment."""
        now = asyncio.get_running_loop().time()
        sentences = []
        for name, at in self._waiting.items():
            then = f"next try in {max(at - now, 0):.0f} s" if at < inf else "it failed too often"
            sentences.append(f"The {name} does not run; {then}.")
        return sentences

    async def _supervise(self, name: str, make: Make) -> None:
        now = asyncio.get_running_loop().time
        failures: deque[float] = deque(maxlen=MAX_FAILURES)
        while await _fails(name, make):
            failures.append(now())
            recent = sum(failures[-1] - at < FAILURES_SECONDS for at in failures)
            if recent == MAX_FAILURES:
                self._give_up(name)
                return
            pause = RETRY_SECONDS * 2 ** (recent - 1)
            self._waiting[name] = now() + pause
            try:
                await asyncio.sleep(pause)
            finally:
                del self._waiting[name]

    def _give_up(self, name: str) -> None:
        log.critical("The %s failed %d times: this process ends", name, MAX_FAILURES)
        self._waiting[name] = inf
        if not self._failed:
            self._failed = True
            self._on_failure()


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

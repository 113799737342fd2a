"""Settings of a server whose background tasks fail when it is told so: all that run, and the writer
at its next batch, on SIGUSR1; from SIGUSR2 on, the tasks fail for ever."""

import asyncio
import contextlib
import signal
import threading
from functools import partial
from typing import Any

from django.apps import AppConfig

from chatsite.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, f"{__name__}.Faulty"]  # noqa: F405


class Faulty(AppConfig):
    name = "tests.faults"
    label = "faulty"

    def ready(self) -> None:
        from chat.runtime import background
        from chat.store.set_aside import SetAside

        start, divert = background.BackgroundTasks.start, SetAside.divert
        told, writer = asyncio.Event(), threading.Event()
        background.RETRY_SECONDS = 0.1

        def started(self: Any, name: str, make: Any) -> Any:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(
                signal.SIGUSR1, lambda: (told.set(), told.clear(), writer.set())
            )
            loop.add_signal_handler(signal.SIGUSR2, told.set)
            return start(self, name, partial(fail, name, make, told))

        def diverted(self: Any, batch: Any) -> Any:
            if writer.is_set():
                writer.clear()
                raise ArithmeticError("as it was told to")
            return divert(self, batch)

        background.BackgroundTasks.start, SetAside.divert = started, diverted


async def fail(name: str, make: Any, told: asyncio.Event) -> None:
    """Runs it until it is told to fail."""
    print(f"The {name} runs", flush=True)
    running, telling = asyncio.ensure_future(make()), asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait([running, telling], return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ArithmeticError("as it was told to")
    finally:
        telling.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

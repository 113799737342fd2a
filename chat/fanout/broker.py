"""What carries announcements between processes: its interface, and the one of a single process. The
others are in `chat/cluster/`."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from chat.fanout.announcements import Announcement

if TYPE_CHECKING:
    from chat.fanout.hub import Hub

Handlers = Mapping[str, Callable[..., object]]
"""What is called for a notification of each kind, with its fields."""

StartTask = Callable[[str, Callable[[], Coroutine[object, object, None]]], asyncio.Task[None]]
"""Starts a background task of this name, and starts it again where it fails."""


class BrokerStatus(Enum):
    SINGLE_PROCESS = "single process"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    POLLING = "polling"  # others hear this process, which finds only what they store


class Broker(Protocol):
    """Carries announcements between processes."""

    @property
    def status(self) -> BrokerStatus:
        """CONNECTED: the other processes hear this one, and it hears them, at this moment."""

    @property
    def backlog(self) -> int:
        """Bytes that wait to be announced to the others."""

    @property
    def lag(self) -> float:
        """Seconds that a message took from this process's queue through the broker back to it; of
        one that is under way for longer, so far."""

    def announce(self, announcement: Announcement) -> None:
        """To the other processes in which somebody subscribes to its channel. Never waits."""

    async def subscribe(self, channel: str) -> None:
        """Returns when what others announce in the channel from now on arrives here. Returns at
        once while it is not connected: heads are checked until it is."""

    def unsubscribe(self, channel: str) -> None:
        """Nobody in this process subscribes to the channel any more."""

    def notify(self, kind: str, *fields: object) -> None:
        """Calls the handlers of this kind in the other processes. Never waits."""

    async def start(
        self,
        hub: "Hub",
        check: Callable[[], object],
        handlers: Handlers,
        start_task: StartTask,
    ) -> None:
        """From now on what others announce goes to `hub`; `check` is called where some was lost."""

    async def stop(self) -> None: ...


class MemoryBroker:
    """The broker of a site of a single process: it does nothing."""

    status: BrokerStatus = BrokerStatus.SINGLE_PROCESS
    backlog = 0
    lag = 0.0

    def announce(self, announcement: Announcement) -> None: ...
    async def subscribe(self, channel: str) -> None: ...
    def unsubscribe(self, channel: str) -> None: ...
    def notify(self, kind: str, *fields: object) -> None: ...
    async def start(
        self,
        hub: "Hub",
        check: Callable[[], object],
        handlers: Handlers,
        start_task: StartTask,
    ) -> None: ...
    async def stop(self) -> None: ...

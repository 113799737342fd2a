"""What a process runs as its broker, and the one for a site of a single process."""

from collections.abc import Callable, Mapping
from typing import Protocol

from chat.fanout.announcements import Announcement
from chat.fanout.hub import Broker, BrokerStatus, Hub

Handlers = Mapping[str, Callable[..., object]]
"""What is called for a notification of each kind, with its fields."""


class NodeBroker(Broker, Protocol):
    """A broker with its life, and with notifications between processes beside the channels."""

    async def start(self, hub: Hub, check: Callable[[], object], handlers: Handlers) -> None:
        """Connects, and delivers to `hub` until `stop`. Calls `check` where an announcement may
        have been lost, `handlers` for what other processes notify this one of."""

    async def stop(self) -> None:
        """Disconnects once what was announced has been sent."""

    def notify(self, kind: str, *fields: object) -> None:
        """Calls the handler of this kind in every other process; never waits."""


class MemoryBroker:
    """There are no other processes: it does nothing."""

    status: BrokerStatus = BrokerStatus.SINGLE_PROCESS

    def announce(self, announcement: Announcement) -> None: ...
    async def subscribe(self, channel: str) -> None: ...
    def unsubscribe(self, channel: str) -> None: ...
    async def start(self, hub: Hub, check: Callable[[], object], handlers: Handlers) -> None: ...
    async def stop(self) -> None: ...
    def notify(self, kind: str, *fields: object) -> None: ...
